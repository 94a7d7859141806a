//! Gates measured with many clients: the service `gate`, the gate in Lua, and a bare echo server as their floor.
//!
//! **Equal** for all: the client program, which is one thread on a processor of its own; the number of clients, their
//! packets, and that a server has a process and processors of its own. Each run starts every server anew, one after the
//! other, so that a machine that becomes slower does so for all.
//!
//! **Not equal:** the floor knows no packets, and sends back bytes as they come; the gate in Lua has no websockets, so with
//! those the others still have packets with their length in front.
//!
//! Invariants: a packet is numbered, and every answer is checked; every wait has a bound; no server outlives its
//! measurement.

mod crowd;
mod echo;
mod files;
mod floor;
mod framing;
mod hostile;
mod measure;
mod plan;
mod result;
mod server;
mod tls;

pub use self::crowd::PACKET_BYTES_MIN;
pub use self::hostile::{Attack, Attempts, HostileResult, HostileRound, P99Ratio};
pub use self::plan::{Contender, GateError, GatePlan};
pub use self::result::{GateResult, GateRow, GateRun, OpenFigures};
pub use self::server::{GateLauncher, serve_gate};
