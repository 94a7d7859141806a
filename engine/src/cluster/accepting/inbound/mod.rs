//! An inbound connection: it receives the requests of a peer, and sends their answers.
//!
//! Bounds: a connection is not read while too many of its answers wait to be written or too many of its requests are
//! in progress. It is closed when its bytes violate the protocol, when it does not finish a package in time, and when
//! it accepts no bytes for too long while answers wait. The [`budget`](super::budget) bounds the memory of all
//! connections of a shard.
//!
//! Invariants: every request and every send is counted until it is answered or has ended, once; a connection that has
//! ended holds nothing, waits for nothing, and is logged and counted once, unless its [session](session) continues.

mod encryption;
mod handshake;
mod holding;
mod permit;
mod proving;
mod requests;
mod serving;
mod session;
mod state;
mod sweep;

pub(in crate::cluster) use state::Inbound;
pub use state::{ANSWER_BYTES_MAX, REQUESTS_HANDLED_MAX, UNFINISHED_BYTES_MAX};
pub use sweep::{PACKAGE_TIME_MS_MAX, STALL_TIME_MS_MAX};
