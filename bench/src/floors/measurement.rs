//! The settings and the result of a measurement, the same for every floor and peer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;
use thiserror::Error;

use super::peer::Peer;
use crate::cpu::CpuSeconds;
use crate::latency::Latency;
use crate::node_process::NodeProcessError;
use crate::supervisor::WaitError;

/// How a floor or a peer is to be measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Calls in flight, all over one connection.
    pub in_flight: usize,
    /// Size of the value that is sent and returned, in bytes.
    pub size: usize,
    /// The measured time.
    pub duration: Duration,
    /// The time before it, whose calls are not counted.
    pub warm_up: Duration,
    /// How long either side polls for I/O before it sleeps, where that can be set.
    pub spin: Duration,
    /// The processor of the server: a number among those that this process may use, counted round from 0.
    pub server_cpu: usize,
    /// The processor of the client, in the same way.
    pub client_cpu: usize,
    /// A checkout of Skynet that is built, if there is one.
    pub skynet: Option<PathBuf>,
}

/// The figures of a floor or a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerResult {
    /// Its name, as [`Peer::name`] returns it.
    pub name: &'static str,
    /// Calls that were answered in the measured time.
    pub calls: u64,
    /// The same a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// Calls that failed or returned another value.
    pub errors: u64,
    /// Calls in flight: fewer than the settings have where the [`note`](Self::note) says why.
    pub in_flight: usize,
    /// Size of the value, in bytes.
    pub size: usize,
    /// The time that was measured.
    pub seconds: f64,
    /// The processor time that it used.
    pub cpu_seconds: CpuSeconds,
    /// What is not equal to the others.
    pub note: String,
}

/// Why there are no figures of a floor or a peer.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It is not on this machine, or not in this program. This is no failure, and nothing was started.
    #[error("{0}")]
    Unavailable(String),
    /// Its server did not start, or wrote something unexpected.
    #[error("the server: {0}")]
    Server(String),
    /// Its client failed.
    #[error("the client: {0}")]
    Client(String),
    /// A socket, a thread, a process or a file failed.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

impl PeerResult {
    /// The result of a client that recorded every latency, in nanoseconds.
    pub(super) fn of_latencies(
        peer: Peer,
        settings: &Settings,
        latencies: &Histogram<u64>,
        errors: u64,
        (seconds, cpu_seconds): (f64, CpuSeconds),
    ) -> PeerResult {
        PeerResult {
            name: peer.name(),
            calls: latencies.len(),
            calls_per_second: latencies.len() as f64 / seconds,
            latency_us: Latency::of(latencies),
            errors,
            in_flight: settings.in_flight,
            size: settings.size,
            seconds,
            cpu_seconds,
            note: peer.note().to_owned(),
        }
    }
}

impl PeerError {
    /// A failure of the client.
    pub(crate) fn client(error: impl fmt::Display) -> PeerError {
        PeerError::Client(error.to_string())
    }

    /// A wait for the server `name` that ended without its event.
    pub(crate) fn waited(error: WaitError, name: &str) -> PeerError {
        match error {
            WaitError::Interrupted => PeerError::Interrupted,
            WaitError::TimedOut(_) => PeerError::Server(format!("{name} wrote {error}")),
        }
    }
}

impl From<NodeProcessError> for PeerError {
    fn from(error: NodeProcessError) -> PeerError {
        match error {
            NodeProcessError::Waited {
                error: WaitError::Interrupted,
                ..
            } => PeerError::Interrupted,
            error => PeerError::Server(error.to_string()),
        }
    }
}
