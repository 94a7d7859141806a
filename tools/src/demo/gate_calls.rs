//! The calls of the gate to the databases, each with a check of its reply.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use skyring::seri::Pack;
use skyring::{Caller, Error, Payload};
use skyring_bench::LoadError;
use thiserror::Error as ThisError;

use super::nodes::{DB, GATE, SERVICE};

/// Timeout of a call.
pub(super) const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a command failed.
#[derive(Debug, ThisError)]
pub(super) enum CommandError {
    #[error("{what}: {error}")]
    Call { what: String, error: Error },
    #[error("{what}: expected {expected}, and got {found}")]
    Unexpected {
        what: String,
        expected: String,
        found: String,
    },
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the gate stopped")]
    Stopped,
}

/// Writes a text to the database and reads it back.
pub(super) async fn set_and_get(caller: Caller) -> Result<String, CommandError> {
    let what = "SET hello world";
    let previous = call(&caller, DB, what, &("SET", "hello", "world")).await?;
    let previous = previous.unpack::<Option<&str>>().map_err(failed(what))?;
    if previous.is_some() {
        return Err(unexpected(what, "nil", &previous));
    }
    let read = call(&caller, DB, "GET hello", &("GET", "hello")).await?;
    expect("GET hello", &read, "world")?;
    Ok(format!(
        "{GATE} -> {DB}: SET hello world gave nil, GET hello gave world"
    ))
}

/// Sends a text to the database, and reads it back.
pub(super) async fn send(caller: Caller) -> Result<String, CommandError> {
    let db = caller.node(DB);
    db.send(SERVICE, &("SET", "sent", "arrived"))
        .map_err(failed("send"))?;
    // Messages of one caller arrive in order, so the next call sees the effect of the send.
    let read = call(&caller, DB, "GET sent", &("GET", "sent")).await?;
    expect("GET sent", &read, "arrived")?;
    Ok(format!(
        "{GATE} -> {DB}: SET sent arrived, without a reply; then GET sent gave arrived"
    ))
}

/// Calls the database with an unknown command.
pub(super) async fn remote_error(caller: Caller) -> Result<String, CommandError> {
    match call(&caller, DB, "FLY", "FLY").await {
        Err(CommandError::Call {
            error: Error::Remote { text, .. },
            ..
        }) if text.contains("unknown command FLY") => Ok(format!(
            "{GATE} -> {DB}: FLY failed with the text of {DB}: \"{text}\""
        )),
        other => Err(unexpected("FLY", "an error that names it", &other)),
    }
}

/// Writes the value for the load, and reads it back.
pub(super) async fn set_value(caller: &Caller, value: &str) -> Result<String, CommandError> {
    call(caller, DB, "SET value", &("SET", "value", value)).await?;
    let read = call(caller, DB, "GET value", &("GET", "value")).await?;
    expect("GET value", &read, value)?;
    Ok(String::new())
}

/// Calls a node with PING.
pub(super) async fn ping(caller: &Caller, node: &str) -> Result<String, CommandError> {
    let what = format!("PING {node}");
    let reply = call(caller, node, &what, "PING").await?;
    expect(&what, &reply, "PONG")?;
    Ok("PONG".to_owned())
}

async fn call<T: Pack + ?Sized>(
    caller: &Caller,
    node: &str,
    what: &str,
    values: &T,
) -> Result<Payload, CommandError> {
    let call = caller.node(node).call(SERVICE, values).timeout(CALL_TIME_MAX);
    call.await.map_err(failed(what))
}

fn expect(what: &str, reply: &Payload, expected: &str) -> Result<(), CommandError> {
    let found = reply.unpack::<Option<&str>>().map_err(failed(what))?;
    if found == Some(expected) {
        return Ok(());
    }
    Err(unexpected(what, expected, &found))
}

/// Names the call in its error.
pub(super) fn failed(what: &str) -> impl FnOnce(Error) -> CommandError {
    let what = what.to_owned();
    move |error| CommandError::Call { what, error }
}

/// The error for an outcome other than the expected one.
pub(super) fn unexpected(what: &str, expected: &str, found: &dyn Debug) -> CommandError {
    CommandError::Unexpected {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: format!("{found:?}"),
    }
}
