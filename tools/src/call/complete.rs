//! Completion in shells: the commands of the service that the words before name, by asking it.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Parser;
use clap_complete::CompletionCandidate;

use super::arguments::Arguments;
use super::describe;

/// How long a shell waits for the service.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The variable with which a shell says which word is being completed.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// The words of the command line up to the one that is being completed.
#[derive(Parser)]
struct Words {
    #[command(flatten)]
    arguments: Arguments,
}

/// The candidates for a word: commands, if the words before are a node and a service of it.
pub(super) fn commands(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let candidates = words_before().and_then(|words| known(words, &current));
    candidates.unwrap_or_default()
}

/// What follows `skyring call`, without the current word.
fn words_before() -> Option<Vec<OsString>> {
    // The shell writes `skyring -- skyring call …`; bash and zsh say which word it is, fish writes none after it.
    let words: Vec<OsString> = std::env::args_os().collect();
    let start = words.iter().position(|word| word == "--")? + 1;
    let words = &words[start..];
    let index = match std::env::var(INDEX) {
        Ok(index) => index.parse().ok()?,
        Err(_) => words.len().checked_sub(1)?,
    };
    Some(words.get(1..index)?.to_vec())
}

fn known(words: Vec<OsString>, current: &str) -> Option<Vec<CompletionCandidate>> {
    let words = Words::try_parse_from(words).ok()?;
    // A word after the address is the command; any further one is an argument.
    if words.arguments.command().is_some() {
        return None;
    }
    let mut request = words.arguments.request_to_describe().ok()?;
    request.timeout = TIMEOUT;
    let interface = describe::interface(request).ok()?;
    let methods = interface
        .methods
        .iter()
        .filter(|method| method.name.starts_with(current));
    let candidates = methods.map(|method| {
        let help = method.to_string();
        CompletionCandidate::new(method.name.clone()).help(Some(help.into()))
    });
    Some(candidates.collect())
}
