//! The sans-I/O link: the protocol state of one channel, without its socket and without a clock.
//!
//! A channel has two ends. The dialler has a [`CallerLink`]: calls go in with a token, and the outcome of each
//! comes out as a [`CallerEvent`] with that token. It outlives its TCP connections. The acceptor creates a
//! [`CalleeLink`] for each TCP connection: requests come out, answers go in. In the native dialect a session lets a
//! callee's link outlive its connection too: it takes over the connection of another link whose hello names the
//! session (see `callee/resume.rs` and `caller/resume.rs`). Both ends speak the skynet and the native dialect; a
//! hello at the beginning of a connection determines which. The driver of a link reads the socket, passes the
//! chunks to `receive`, polls events until there are none, writes the output that `transmit` returns, and reports
//! with `transmitted` how much of it the socket took.
//!
//! Invariants, each with a test:
//! - every accepted call ends in exactly one event: a reply, an expiry, a loss, or a reply that was too large; none
//!   outlives its deadline by more than the time to the next `poll_event`;
//! - a reply never ends another call than the one it answers: whole session numbers are compared, and a number is
//!   reused only after 2^31 - 1 others;
//! - messages are transmitted in the order in which they were accepted, the parts of each without a gap;
//! - while both links of a session exist, over any number of connections that break at any byte, even when the
//!   acceptor has not detected the end of the old one: a request comes out at the callee exactly once, in order,
//!   unless its deadline passes first, and its answer at the caller exactly once;
//! - when one of the two is lost, each call that was begun ends in an event that says that it may have run; only an
//!   idempotent call is ever transmitted to two links;
//! - a call is reported as lost without having run only if none of its bytes was transmitted, or the peer reported
//!   that it had not received it;
//! - with a cluster secret nothing that depends on a request comes out at either end, and no session changes hands,
//!   before the other end has proved the secret;
//! - everything that is held is bounded in bytes or in number; lengths that a peer declares reserve no memory;
//! - input that neither a Skynet nor a Skyring node would send is a typed [`ProtocolError`], after which the
//!   connection must be closed.

mod access;
mod acks;
mod callee;
mod caller;
mod deadlines;
mod heartbeat;
mod queue;
mod reassembly;
mod retained;
mod sessions;

pub use crate::limits::TRACE_KEPT_BYTES_MAX;
pub use access::Access;
pub use acks::ACK_DELAY_MS_MAX;
pub use callee::{CalleeLimits, CalleeLink, Inbound, Request, ResolvedRequest};
pub use caller::{
    CallerEvent, CallerLimits, CallerLink, CallerRequest, HANDSHAKE_MS_MAX, RELEASE_PAUSE_MS,
    RELEASED_AT_ONCE_MAX, RELEASED_BYTES_AT_ONCE_MAX, ReplyError, TRACE_SENT_BYTES_MAX, TRACES_WAITING_MAX,
};
pub use heartbeat::{HEARTBEAT_MS_MAX, HeartbeatLimits};

use crate::native::{FrameError, HelloError, Unproved};
use crate::skynet::DecodeError;

/// The default limit of a message: 16 MiB, and 64 KiB for what surrounds a payload of that size.
pub const MESSAGE_BYTES_MAX: usize = (16 * 1024 + 64) * 1024;

/// The default limit of bytes that are queued for the socket.
pub const OUT_BUFFER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The default limit of bytes that the unfinished messages of one connection hold.
pub const REASSEMBLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The default limit of unfinished messages of one connection. Skynet may send the heads of many messages before
/// their parts, so this is well above the number of messages whose parts arrive at a time.
pub const PARTIAL_MESSAGES_MAX: usize = 16 * 1024;

/// The default limit of bytes of answers that a callee retains until the caller acknowledges them.
pub const RETAINED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long either end keeps the session of a channel without a connection, in milliseconds.
pub const SESSION_KEPT_MS_MAX: u64 = 60_000;

/// The default limit of outstanding calls of one channel.
pub const SESSIONS_MAX: usize = 1 << 20;

/// The default size of the first step in which messages that waited for a connection are transmitted.
pub const RELEASED_AT_ONCE_MIN: usize = 256;

/// The dialect of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Skynet's cluster packages; see [`crate::skynet`].
    Skynet,
    /// Skyring's own frames; see [`crate::native`].
    Native,
}

/// Why a link refuses a call or a send. Nothing was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A limit is reached; a retry may succeed after further replies.
    #[error("overloaded: {what} at their limit of {limit}")]
    Overloaded {
        /// The resource that is exhausted.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// The message is larger than this link sends.
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

/// Input that no peer would send. The rest of the stream is invalid: close the connection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProtocolError {
    /// A malformed package.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A malformed frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A malformed hello, or a malformed answer to one. Boxed, because every poll returns space for an error.
    #[error(transparent)]
    Hello(Box<HelloError>),
    /// The peer refuses this node.
    #[error("the peer refused the hello: {text}")]
    HelloRefused {
        /// The text of the peer, truncated when it is long.
        text: String,
    },
    /// The other end has not proved the cluster secret.
    #[error("not proved: {0}")]
    Unproved(#[from] Unproved),
    /// The first package is not the answer to the hello.
    #[error("the first package is not the answer to the hello")]
    HandshakeOrder,
    /// The answer to the hello did not arrive in time.
    #[error("no answer to the hello within {limit_ms} ms")]
    HandshakeTime {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The peer shows no sign of life.
    #[error("no sign of life for {ms} ms")]
    Silent {
        /// How long it showed none, in milliseconds.
        ms: u64,
    },
    /// A second head for an unfinished message.
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
    /// The parts of a reply do not add up to the length in its head.
    #[error("reply for session {session} declared {declared} bytes and has {received}")]
    ReplyLength {
        /// The session of the call.
        session: u32,
        /// The length in the head.
        declared: u32,
        /// The length that had arrived when the difference was certain.
        received: usize,
    },
    /// A part of a reply without a head.
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
