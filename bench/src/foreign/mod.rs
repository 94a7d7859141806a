//! Servers of others as targets of the load: Redis, HTTP/1.1 and plain TCP echoes.
//!
//! The same open and closed loops make the calls, on the same executor, with the same clock and histograms as for a
//! node, so one instrument measures all of them. Here is what differs: the bytes of a request, and where an answer ends.
//!
//! Requests on one connection are answered in their order. Invariants: an answer is at most [`ANSWER_BYTES_MAX`] long;
//! every call ends when its answer has arrived or its connection has ended, with an error in the second case.

mod connections;
mod echo;
mod error;
mod http;
mod probe;
mod protocol;
mod redis;
mod target;
mod url;

pub(crate) use self::connections::Connections;
pub use self::error::TargetError;
pub use self::protocol::ANSWER_BYTES_MAX;
pub use self::target::Target;
pub use self::url::{Scheme, TargetUrl};
