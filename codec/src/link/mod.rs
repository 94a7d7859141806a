//! The sans-I/O link: the protocol state of one channel, without its socket and without a clock.
//!
//! A channel has two ends. The dialler holds a [`CallerLink`]: calls go in with a token, and what
//! became of each comes out as a [`CallerEvent`] with that token; it lives on when TCP connections
//! come and go. The acceptor makes a [`CalleeLink`] for each TCP connection: requests come out,
//! answers go in; in the native dialect one lives on as well, and takes over the connection of another whose
//! hello names its session (`callee/resume.rs` and `caller/resume.rs` say how). Both speak the skynet and the native dialect, and find out with a hello which one it is
//! to be on a connection. Whoever drives a link reads the socket, hands the chunks to `receive`, polls events
//! until there are none, and writes what `transmit` shows, saying with `transmitted` how much of it
//! the socket took.
//!
//! Invariants, each with a test that would notice:
//! - every accepted call ends in exactly one event: a reply, an expiry, a loss, or a reply that was
//!   too large; none outlives its deadline by more than the time to the next `poll_event`;
//! - a reply never reaches another call than the one it answers: whole session numbers are compared,
//!   and a number comes back only after 2^31 - 1 others;
//! - messages leave in the order in which they were accepted, their parts side by side;
//! - while both links of a session live, across any number of connections that break at any byte, and however
//!   often the old one still seems to be there: a request comes out at the callee exactly once, in order, unless
//!   its deadline passes first, and its answer at the caller exactly once;
//! - when one of them does not, each call that was begun ends in an event that says that it may have run;
//!   only a call that is marked idempotent is ever transmitted to two links;
//! - a call is reported as lost without having run only if none of its bytes was transmitted, or the peer said
//!   that it had not come;
//! - all that is held is bounded in bytes or in number; what a peer declares reserves nothing;
//! - input that neither a Skynet nor a Skyring node would send is a typed [`ProtocolError`], after which
//!   the connection is of no use and is to be closed.

mod acks;
mod callee;
mod caller;
mod deadlines;
mod heartbeat;
mod queue;
mod reassembly;
mod retained;
mod sessions;

pub use acks::ACK_DELAY_MS_MAX;
pub use callee::{CalleeLimits, CalleeLink, Inbound, Request, ResolvedRequest, TRACE_KEPT_BYTES_MAX};
pub use caller::{CallerEvent, CallerLimits, CallerLink, CallerRequest, HANDSHAKE_MS_MAX, ReplyError};
pub use heartbeat::{HEARTBEAT_MS_MAX, HeartbeatLimits};

use crate::native::{FrameError, HelloError};
use crate::skynet::DecodeError;

/// What a message may have at most when nobody says otherwise: 16 MiB and 64 KiB for what surrounds
/// a payload of that size.
pub const MESSAGE_BYTES_MAX: usize = (16 * 1024 + 64) * 1024;

/// What may wait for the socket when nobody says otherwise.
pub const OUT_BUFFER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What unfinished messages of one connection may hold when nobody says otherwise.
pub const REASSEMBLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Unfinished messages of one connection when nobody says otherwise. Skynet may send the heads of
/// many messages before their parts, so this is well above what needs its bytes at once.
pub const PARTIAL_MESSAGES_MAX: usize = 16 * 1024;

/// What a callee keeps of answers that the caller has not acknowledged, when nobody says otherwise.
pub const RETAINED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long either end keeps the session of a channel that has no connection, in milliseconds.
pub const SESSION_KEPT_MS_MAX: u64 = 60_000;

/// Calls that one channel has outstanding when nobody says otherwise.
pub const SESSIONS_MAX: usize = 1 << 20;

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Skynet's cluster packages; see [`crate::skynet`].
    Skynet,
    /// Skyring's own frames; see [`crate::native`].
    Native,
}

/// Why a link does not accept a call or a send. Nothing was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A bound is reached; it may be worth trying again once replies have come.
    #[error("overloaded: {what} at their limit of {limit}")]
    Overloaded {
        /// What there is too much of.
        what: &'static str,
        /// How much of it there may be.
        limit: usize,
    },
    /// The message is longer than this link sends.
    #[error("too-large: message of {bytes} bytes, limit {limit}")]
    TooLarge {
        /// Length of the payload.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Names have 1 to 255 bytes.
    #[error("invalid name of {bytes} bytes: names have 1 to 255")]
    InvalidName {
        /// Length of the name.
        bytes: usize,
    },
}

/// Input that no peer would send. The stream cannot be trusted any more: close it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// A package that is none.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame that is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A hello, or an answer to one, that is none. Boxed, because every poll returns room for an error.
    #[error(transparent)]
    Hello(Box<HelloError>),
    /// The peer does not want to talk to this node.
    #[error("the peer refused the hello: {text}")]
    HelloRefused {
        /// What it says; the beginning of it when it is long.
        text: String,
    },
    /// Something else than the answer to the hello came first.
    #[error("the first package is no answer to the hello")]
    HandshakeOrder,
    /// The answer to the hello did not come in time.
    #[error("no answer to the hello within {limit_ms} ms")]
    HandshakeTime {
        /// The time there was, in milliseconds.
        limit_ms: u64,
    },
    /// The peer shows no sign of life any more.
    #[error("no sign of life for {ms} ms")]
    Silent {
        /// How long there was none, in milliseconds.
        ms: u64,
    },
    /// A second head for a message that is not complete.
    #[error("second head for the unfinished message of session {session}")]
    HeadTwice {
        /// The session of the message.
        session: u32,
    },
    /// More unfinished messages than a connection may have.
    #[error("more than {limit} unfinished messages")]
    PartialMessages {
        /// How many there may be.
        limit: usize,
    },
    /// The parts of a reply do not add up to what its head says.
    #[error("reply for session {session} declared {declared} bytes and brought {received}")]
    ReplyLength {
        /// The session of the call.
        session: u32,
        /// What the head said.
        declared: u32,
        /// What had come when the difference was certain.
        received: usize,
    },
    /// A part of a reply that has no head.
    #[error("part of a reply for session {session} without a head")]
    PartWithoutHead {
        /// The session of the call.
        session: u32,
    },
}

impl From<HelloError> for ProtocolError {
    fn from(error: HelloError) -> Self {
        Self::Hello(Box::new(error))
    }
}
