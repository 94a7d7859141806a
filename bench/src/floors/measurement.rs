//! What is asked of every floor and peer, and what comes back: one shape for all of them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::load::CpuSeconds;
use crate::report::Latency;
use crate::watch::WatchError;

/// How a floor or a peer is to be measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Calls in flight, all over one connection.
    pub in_flight: usize,
    /// Size of the value that goes there and comes back, in bytes.
    pub size: usize,
    /// The time that is measured.
    pub duration: Duration,
    /// Calls of this time before it are not counted.
    pub warm_up: Duration,
    /// How long either side looks for I/O before it sleeps, where that can be set.
    pub spin: Duration,
    /// The processor of the server: a number among those that this process may use, counted round from 0.
    pub server_cpu: usize,
    /// The processor of the client, in the same way.
    pub client_cpu: usize,
    /// A checkout of Skynet that is built, if there is one.
    pub skynet: Option<PathBuf>,
}

/// What was measured of a floor or a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Its name, as [`Peer::name`](super::Peer::name) says it.
    pub name: &'static str,
    /// Calls that were answered while it was measured.
    pub calls: u64,
    /// The same a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// Calls that failed, or whose value did not come back as it was.
    pub errors: u64,
    /// Calls that were in flight: fewer than asked for where the [`note`](Self::note) says why.
    pub in_flight: usize,
    /// Size of the value, in bytes.
    pub size: usize,
    /// The time that was measured.
    pub seconds: f64,
    /// What it cost.
    pub cpu_seconds: CpuSeconds,
    /// What is not as it is for the others.
    pub note: String,
}

/// Why there are no figures of a floor or a peer.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It is not on this machine, or not in this program; no fault, and nothing was started.
    #[error("{0}")]
    Unavailable(String),
    /// Its server did not come up, or said something else than what it should.
    #[error("the server: {0}")]
    Server(String),
    /// Its client failed.
    #[error("the client: {0}")]
    Client(String),
    /// A socket, a thread, a process or a file failed.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Somebody wants the program to end.
    #[error("interrupted")]
    Interrupted,
}

impl PeerError {
    /// What a vain wait for something that `who` should have said means.
    pub(crate) fn waited(error: WatchError, who: &str) -> PeerError {
        match error {
            WatchError::Interrupted => PeerError::Interrupted,
            WatchError::TimedOut(_) => PeerError::Server(format!("{who} said {error}")),
        }
    }
}
