//! The server of a floor or a peer, as a process of its own.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::launcher::Launcher;
use super::measurement::{PeerError, Settings};
use super::peer::Peer;
use crate::interrupt::Interrupt;
use crate::process::Process;
use crate::supervisor::{ReadyError, Supervisor};

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What a server of ours writes before its address.
pub(super) const LISTENING: &str = "listening ";

/// A running server. Dropping it kills it.
pub(super) struct ServerProcess {
    process: Process,
    address: SocketAddr,
    /// Reads what it writes, so that its output never blocks it.
    _supervisor: Supervisor,
}

impl ServerProcess {
    /// Starts our server of a peer, and returns when it listens.
    pub(super) fn start(
        launcher: &Launcher,
        peer: Peer,
        settings: &Settings,
        interrupt: &Interrupt,
    ) -> Result<ServerProcess, PeerError> {
        let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
        let mut command = launcher.serve(peer, settings);
        command.stdin(Stdio::null());
        let process = supervisor.start(peer.name(), command)?;
        let address = wait_until_ready(&mut supervisor, &process, peer.name(), |line| {
            line.strip_prefix(LISTENING)?.parse().ok()
        })?;
        Ok(ServerProcess {
            process,
            address,
            _supervisor: supervisor,
        })
    }

    /// Starts another program as a server, and returns when it has written a line that contains `ready`.
    pub(super) fn run(
        mut command: Command,
        (name, ready): (&'static str, &str),
        address: SocketAddr,
        interrupt: &Interrupt,
    ) -> Result<ServerProcess, PeerError> {
        let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
        command.stdin(Stdio::null());
        let process = supervisor.start(name, command)?;
        wait_until_ready(&mut supervisor, &process, name, |line| {
            line.contains(ready).then_some(())
        })?;
        Ok(ServerProcess {
            process,
            address,
            _supervisor: supervisor,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }
}

/// Waits until a starting server writes a line for which `find` returns a value.
fn wait_until_ready<T>(
    supervisor: &mut Supervisor,
    process: &Process,
    name: &str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, PeerError> {
    supervisor
        .wait_until_ready(process, START_TIME_MAX, find)
        .map_err(|error| match error {
            ReadyError::Ended { last_line } => PeerError::Server(format!(
                "{name} ended instead of listening, and wrote last: {}",
                last_line.as_deref().unwrap_or("nothing")
            )),
            ReadyError::Wait(error) => PeerError::waited(error, name),
        })
}
