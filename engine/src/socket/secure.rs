//! TLS of a connection that a service has accepted: its shell, and what that tells.
//!
//! Invariants: the owner gets nothing of what the client says before the handshake has ended, except for what comes
//! before TLS; a connection without TLS never comes here but with one look at whether it has a shell.

use std::rc::Rc;

use super::link::Output;
use super::state::{Closing, Part, Socket};
use super::stream::{StreamPart, deliver};
use crate::core::ShardCore;
use crate::core::connection::{Connection, ReadError};
use crate::core::handle::Handle;
use crate::core::socket_event::SocketNews;
use crate::error::{Error, Text};
use crate::tls::{Preface, ServerTls, Shell, ShellEvent};

/// Starts a connection as that of a client with TLS.
pub(super) fn start(
    socket: &Socket,
    owner: Handle,
    tls: &ServerTls,
    preface: Option<Preface>,
) -> Result<(), Error> {
    let Part::Stream(part) = &socket.part else {
        return Err(Error::invalid(format!("socket {} is no connection", socket.id)));
    };
    if socket.closing() != Closing::No {
        return Err(Error::invalid(format!("socket {} is not open", socket.id)));
    }
    if socket.is_started() || part.connection.has_shell() || part.waiting() > 0 {
        return Err(Error::invalid(format!(
            "socket {} has begun without TLS: it begins instead of the start",
            socket.id
        )));
    }
    let shell = Shell::server(tls.identity(), preface).map_err(|what| Error::System { what: what.into() })?;
    part.connection.set_shell(Box::new(shell));
    socket.set_owner(owner);
    socket.set_started(true);
    Ok(())
}

/// Takes received bytes. Returns whether the client has said that nothing follows.
///
/// # Errors
/// Why the connection must end. The client is told, where TLS has a way to say it.
pub(super) fn receive(
    shard: &Rc<ShardCore>,
    socket: &Socket,
    part: &StreamPart,
    chunk: &[u8],
) -> Result<bool, Text> {
    let connection = &part.connection;
    let mut chunk = chunk;
    loop {
        let opened = connection.open_some(&mut chunk, shard);
        while let Some(event) = connection.next_shell_event() {
            connection.ask_shell(|shell| shell.count_event(event));
            if matches!(event, ShellEvent::Verified | ShellEvent::Resumed) {
                let (address, port) = part.address();
                socket.notify(shard, SocketNews::Opened { address, port });
            }
        }
        match opened {
            Ok(Some(bytes)) => deliver(shard, socket, bytes),
            Ok(None) => break,
            Err(error) => {
                connection.write_alert();
                return Err(match error {
                    ReadError::Tls(fault) => fault.to_string().into(),
                    ReadError::Io(error) => error.to_string().into(),
                });
            }
        }
    }
    let has_goodbye = connection.ask_shell(Shell::has_goodbye).unwrap_or(false);
    if has_goodbye && socket.closing() == Closing::No {
        socket.notify(shard, SocketNews::Closed);
    }
    Ok(has_goodbye)
}

/// What is wrong with the end of the client's stream; `None` where it may end like this.
pub(super) fn cause_of_end(connection: &Connection<Output>) -> Option<Text> {
    connection.ask_shell(|shell| match (shell.has_goodbye(), shell.is_handshaking()) {
        (true, _) => None,
        (_, true) => Some("it ended within the TLS handshake".into()),
        _ => Some("it was cut off: its TLS ended without close_notify".into()),
    })?
}
