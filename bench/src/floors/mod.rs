//! Floors and peers, measured in the same way as Skyring, so that ratios hold where figures do not.
//!
//! A *floor* is what the machine can do at best with a certain means; a *peer* is another program or
//! library that people use for the same thing. All of them echo a value of the same size over one TCP
//! connection on loopback, between two processes.
//!
//! **What is equal** for all: the size of the value, the calls in flight, one connection with
//! `TCP_NODELAY`, the server in a process of its own on one processor, the client on another, a warm-up
//! that is not counted, and a closed loop (a caller begins its next call when its last one is answered).
//! Clients that are written in Rust look at the clock once a call, as Skyring's load does.
//!
//! **What is not** stands in the note of each ([`Peer::note`]).

mod blocking;
mod glommio;
mod measured;
mod meter;
mod server;

use std::io;
use std::thread;

pub use measured::{Measured, PeerError, Settings};
pub use server::{Launcher, serve};

use crate::cpu::pin_this_thread;
use crate::interrupt::Interrupt;

/// A floor or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Plain blocking sockets that echo.
    BlockingEcho,
    /// A plain blocking socket that takes a stream of bytes, one way.
    BlockingStream,
    /// The bare call loop on glommio.
    Glommio,
    /// The same loop on io_uring without an executor.
    Uring,
}

impl Peer {
    /// All of them, floors first.
    pub const ALL: [Peer; 4] = [
        Peer::BlockingEcho,
        Peer::BlockingStream,
        Peer::Glommio,
        Peer::Uring,
    ];

    /// Its name, for people and for the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Peer::BlockingEcho => "blocking-echo",
            Peer::BlockingStream => "blocking-stream",
            Peer::Glommio => "glommio",
            Peer::Uring => "io-uring",
        }
    }

    /// The peer with that name.
    pub fn named(name: &str) -> Option<Peer> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// What is not equal to the others.
    pub const fn note(self) -> &'static str {
        match self {
            Peer::BlockingEcho => {
                "no sessions, no callees: bytes come back in order; never spins; takes part in no batching but its own"
            }
            Peer::BlockingStream => "one way and unanswered: a call is one write of the value",
            Peer::Glommio => "no names, deadlines, reconnects or mailboxes",
            Peer::Uring => "as glommio, and callers are slots, not tasks",
        }
    }

    /// Starts its server, measures, and ends what was started.
    ///
    /// # Errors
    /// [`PeerError`]; [`PeerError::Unavailable`] is no fault.
    pub fn measure(
        self,
        settings: &Settings,
        launcher: &Launcher,
        interrupt: &Interrupt,
    ) -> Result<Measured, PeerError> {
        match self {
            Peer::BlockingEcho => blocking::measure_echo(settings, launcher, interrupt),
            Peer::BlockingStream => blocking::measure_stream(settings, launcher, interrupt),
            Peer::Glommio => glommio::measure(settings, launcher, interrupt),
            Peer::Uring => Err(PeerError::Unavailable("not yet".to_owned())),
        }
    }
}

/// Runs a client on a thread of its own, pinned to the client's processor.
fn on_client_thread<T: Send + 'static>(
    settings: &Settings,
    client: impl FnOnce(&Settings) -> Result<T, PeerError> + Send + 'static,
) -> Result<T, PeerError> {
    let settings = settings.clone();
    thread::Builder::new()
        .name("floor-client".to_owned())
        .spawn(move || {
            pin_this_thread(settings.client_cpu)?;
            client(&settings)
        })?
        .join()
        // Its panic has been printed.
        .unwrap_or_else(|_| Err(io::Error::other("the client panicked").into()))
}

/// The value that is sent: of the wanted size, and not all alike.
fn value(settings: &Settings) -> Vec<u8> {
    (0..settings.size)
        .map(|place| b'a' + (place % 26) as u8)
        .collect()
}
