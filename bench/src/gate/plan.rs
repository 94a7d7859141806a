//! What is to be measured, and what can go wrong.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::supervisor::WaitError;

/// What serves the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// The service `gate`, whose packets go to a keyed service in Rust.
    Gate,
    /// The same with clients that speak TLS.
    TlsGate,
    /// The gate in Lua with a watchdog and an agent for each shard, as in Skynet.
    LuaGate,
    /// A bare server on the same sort of ring, which sends back the bytes it receives.
    Floor,
    /// A server that runs already.
    Target(SocketAddr),
}

impl Contender {
    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Gate => "gate",
            Contender::TlsGate => "gate-tls",
            Contender::LuaGate => "lua-gate",
            Contender::Floor => "floor",
            Contender::Target(_) => "target",
        }
    }
}

/// A measurement of gates.
#[derive(Debug, Clone)]
pub struct GatePlan {
    /// In the order in which each run measures them.
    pub contenders: Vec<Contender>,
    /// Whether the clients of the gate are websockets; those of the floor and of the gate in Lua never are.
    pub is_websocket: bool,
    /// The path of websockets, of a target.
    pub path: String,
    /// Clients.
    pub clients: usize,
    /// Clients that send during the loops; the others are idle.
    pub active: usize,
    /// Packets of each of them without an answer, in the closed loop.
    pub window: u32,
    /// Bytes of a packet, at least [`PACKET_BYTES_MIN`](super::PACKET_BYTES_MIN).
    pub size: usize,
    /// Packets that each client sends before the loops.
    pub packets_each: u32,
    /// Packets a second of the open loop; `None`: half of what the closed loop of the slowest contender made.
    pub rate: Option<f64>,
    /// The time of each loop.
    pub duration: Duration,
    /// The time before it, which is not counted.
    pub warm_up: Duration,
    /// How long all clients are idle.
    pub idle: Duration,
    /// Shards of the gates.
    pub threads: usize,
    /// Runs of each contender.
    pub runs: usize,
    /// Further settings of the gate, as in a config.
    pub settings: String,
}

/// Why a measurement of gates has ended without a result.
#[derive(Debug, Error)]
pub enum GateError {
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
    /// One program has no more clients.
    #[error(
        "{wanted} clients are asked for, and one program has at most {most}: ask for fewer --clients, or start several programs with the same --target"
    )]
    Clients {
        /// What is asked for.
        wanted: usize,
        /// How many there can be.
        most: usize,
    },
    /// The limit of open files is too low.
    #[error(
        "{clients} clients need a limit of {wanted} open files in each process, and the hard limit here is {allowed}: raise it with ulimit -Hn, or ask for fewer --clients"
    )]
    Files {
        /// What is asked for.
        clients: usize,
        /// What is needed.
        wanted: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// A gate did not start.
    #[error("{name} did not start: {cause}")]
    Start {
        /// The contender.
        name: &'static str,
        /// What it wrote last.
        cause: String,
    },
    /// Clients could not connect, or their first packet was not answered.
    #[error("only {connected} clients are connected and answered: {cause}")]
    Connect {
        /// How many are.
        connected: usize,
        /// The first thing that went wrong.
        cause: String,
    },
    /// No answers come any more.
    #[error("{unanswered} packets have no answer, and none comes any more {cause}")]
    Silence {
        /// Packets without an answer.
        unanswered: u64,
        /// The first thing that went wrong.
        cause: String,
    },
    /// The counters of a gate could not be read.
    #[error("the counters of the gate: {0}")]
    Counters(String),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

impl GateError {
    pub(super) fn waited(error: WaitError, name: &'static str) -> GateError {
        match error {
            WaitError::Interrupted => GateError::Interrupted,
            error @ WaitError::TimedOut(_) => GateError::Start {
                name,
                cause: error.to_string(),
            },
        }
    }
}
