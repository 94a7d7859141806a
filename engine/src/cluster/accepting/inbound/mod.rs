//! A connection that a peer opened: its requests come in, their answers go out.
//!
//! Bounds: a connection is not read while too many answers wait for it or too many of its requests are
//! being handled; it is closed when it sends what is not the protocol, when it does not finish a package
//! that it began, and when it takes no bytes for too long while answers wait. What all connections of a
//! shard hold together is bounded by their [`budget`](super::budget).
//!
//! Invariants: every request and every send that is taken is counted until it is answered or over, once;
//! a connection that has ended holds nothing, waits for nothing, and is logged and counted once, unless its
//! [session](session) goes on.

mod handshake;
mod holding;
mod requests;
mod serving;
mod session;
mod state;
mod sweep;

pub(in crate::cluster) use state::Inbound;
pub use state::{ANSWER_BYTES_MAX, REQUESTS_HANDLED_MAX, UNFINISHED_BYTES_MAX};
pub use sweep::{PACKAGE_TIME_MS_MAX, STALL_TIME_MS_MAX};
