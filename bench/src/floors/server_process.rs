//! Servers of floors and peers: processes of their own that end with the value that stands for them.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::launcher::Launcher;
use super::measurement::{PeerError, Settings};
use super::peer::Peer;
use crate::interrupt::Interrupt;
use crate::process::{Happening, Process};
use crate::watch::Watch;

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What a server of ours says before its address.
pub(super) const LISTENING: &str = "listening ";

/// A server that runs. Dropping it kills it.
pub(super) struct Server {
    process: Process,
    address: SocketAddr,
    /// Hears what it says, so that it never waits to say it.
    _watch: Watch,
}

impl Server {
    /// Starts our server of a peer, and returns when it listens.
    pub(super) fn start(
        launcher: &Launcher,
        peer: Peer,
        settings: &Settings,
        interrupt: &Interrupt,
    ) -> Result<Server, PeerError> {
        let mut watch = Watch::new(interrupt.clone(), |_| {});
        let mut command = launcher.serve(peer, settings);
        command.stdin(Stdio::null());
        let process = watch.start(peer.name(), command)?;
        let address = heard(&mut watch, &process, peer.name(), |line| {
            line.strip_prefix(LISTENING)?.parse().ok()
        })?;
        Ok(Server {
            process,
            address,
            _watch: watch,
        })
    }

    /// Starts another program as a server, and returns when it has said a line with `ready` in it.
    pub(super) fn run(
        mut command: Command,
        (name, ready): (&'static str, &str),
        address: SocketAddr,
        interrupt: &Interrupt,
    ) -> Result<Server, PeerError> {
        let mut watch = Watch::new(interrupt.clone(), |_| {});
        command.stdin(Stdio::null());
        let process = watch.start(name, command)?;
        heard(&mut watch, &process, name, |line| {
            line.contains(ready).then_some(())
        })?;
        Ok(Server {
            process,
            address,
            _watch: watch,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }
}

/// Waits until a starting server says what `look` looks for; when it ends instead, tells its last line.
fn heard<T>(
    watch: &mut Watch,
    process: &Process,
    name: &str,
    look: impl Fn(&str) -> Option<T>,
) -> Result<T, PeerError> {
    let mut said = "nothing".to_owned();
    let found = watch.wait(START_TIME_MAX, |event| match &event.happening {
        _ if event.id != process.id() => None,
        Happening::Line(line) => match look(line) {
            Some(found) => Some(Some(found)),
            None => {
                said.clone_from(line);
                None
            }
        },
        Happening::Closed => Some(None),
    });
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(PeerError::Server(format!(
            "{name} ended instead of listening, and said last: {said}"
        ))),
        Err(error) => Err(PeerError::waited(error, name)),
    }
}
