//! What the clients of ours share: the server that each starts, a pinned thread, the meter, and the value.

use std::net::SocketAddr;

use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::meter::Meter;
use super::peer::Peer;
use super::server_process::ServerProcess;
use crate::interrupt::Interrupt;
use crate::pinned_thread::PinnedThread;

/// Starts our server of a peer and runs `client` on a thread of its own, pinned to the client's processor. The meter
/// begins before the client connects.
pub(super) fn measure(
    peer: Peer,
    settings: &Settings,
    launcher: &Launcher,
    interrupt: &Interrupt,
    client: impl FnOnce(SocketAddr, &Settings, Meter) -> Result<PeerResult, PeerError> + Send + 'static,
) -> Result<PeerResult, PeerError> {
    let server = ServerProcess::start(launcher, peer, settings, interrupt)?;
    let (address, process) = (server.address(), server.process());
    let (settings, interrupt) = (settings.clone(), interrupt.clone());
    PinnedThread::start("floor-client", settings.client_cpu, move || {
        let meter = Meter::start(peer, &settings, process, &interrupt);
        client(address, &settings, meter)
    })?
    .join()
}

/// The value that is sent: of the size in the settings, and not all of one byte.
pub(super) fn value(settings: &Settings) -> Vec<u8> {
    (0..settings.size)
        .map(|place| b'a' + (place % 26) as u8)
        .collect()
}
