//! What a caller's link takes, and what comes out of it.

use bytes::Bytes;

use super::super::{MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, REASSEMBLY_BYTES_MAX, SESSIONS_MAX};
use crate::Millis;
use crate::link::Dialect;
use crate::native::{ErrorCode, Hello};
use crate::skynet::Address;

/// Bounds of a [`CallerLink`](super::CallerLink).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Bytes that may wait for the socket, for a connection or for an acknowledgement. Each message counts as its payload, its
    /// name and some 128 bytes for what is kept with it, which covers its headers in either dialect.
    pub out_buffer_bytes_max: usize,
    /// Calls that may be outstanding.
    pub sessions_max: usize,
    /// Bytes that a request, a push or a reply may have.
    pub message_bytes_max: usize,
    /// Bytes that all unfinished replies in parts may hold together.
    pub reassembly_bytes_max: usize,
    /// Whether messages are kept until the peer has acknowledged them, to go on after a broken connection. It
    /// takes a peer that does the same.
    pub is_resumed: bool,
}

impl Default for CallerLimits {
    fn default() -> Self {
        Self {
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
            sessions_max: SESSIONS_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            reassembly_bytes_max: REASSEMBLY_BYTES_MAX,
            is_resumed: true,
        }
    }
}

/// A call, or a send, to be transmitted.
#[derive(Debug, Clone)]
pub struct CallerRequest<'a> {
    /// Whom it is for.
    pub address: Address<'a>,
    /// The handle of who asks, 0 for none. The skynet dialect does not carry it.
    pub source: u32,
    /// What decides on the instance of a keyed service. The skynet dialect does not carry it.
    pub key: u64,
    /// Kept by reference until it is transmitted.
    pub payload: Bytes,
    /// When nobody waits for it any more; None for no limit.
    pub deadline: Option<Millis>,
    /// For a call: comes back with its one event. None for a send, which has no event.
    pub token: Option<u64>,
    /// The call may be run more than once, so it is sent again where the link cannot know whether it ran.
    /// Means nothing for a send.
    pub is_idempotent: bool,
}

/// An error that the peer answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    /// What kind of error it is. The skynet dialect does not say, and a later version of the native one may
    /// say what this one does not know: None.
    pub code: Option<ErrorCode>,
    /// The text; not necessarily UTF-8.
    pub text: Bytes,
}

/// What became of a call, or of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerEvent {
    /// The peer has answered the hello, and what waited can be transmitted.
    Ready {
        /// What is spoken on this connection.
        dialect: Dialect,
        /// What the peer said of itself, if it speaks the native dialect.
        peer: Option<Box<Hello>>,
    },
    /// The peer is about to close this connection: what is accepted from now on waits for the next one.
    /// Calls that were transmitted are still answered.
    Goodbye,
    /// Nothing was heard of the peer for twice the interval of the heartbeat.
    Quiet,
    /// It is quiet no more.
    Heard,
    /// The peer answered.
    Reply {
        /// The token of the call.
        token: u64,
        /// The answer, or the error.
        result: Result<Bytes, ReplyError>,
    },
    /// The deadline came before an answer.
    Expired {
        /// The token of the call.
        token: u64,
        /// Whether the peer may have run it, or may yet: it was written.
        may_have_run: bool,
    },
    /// The peer is another process than the one that the call was transmitted to, which may have run it.
    Restarted {
        /// The token of the call.
        token: u64,
    },
    /// The peer lives, but what it knew of this channel is gone. It may have run the call.
    Forgotten {
        /// The token of the call.
        token: u64,
    },
    /// The connection broke or the link was closed before an answer.
    Lost {
        /// The token of the call.
        token: u64,
        /// Whether the peer may have run it: some of it was transmitted.
        may_have_run: bool,
    },
    /// There is an answer, but it is larger than this link takes. The peer did run the call.
    TooLarge {
        /// The token of the call.
        token: u64,
        /// How large the answer is, as the peer says.
        bytes: usize,
    },
}

impl CallerEvent {
    /// The token of the call that has ended with this event; None when it is not about a call.
    #[inline]
    pub fn token(&self) -> Option<u64> {
        match self {
            Self::Ready { .. } | Self::Goodbye | Self::Quiet | Self::Heard => None,
            Self::Reply { token, .. }
            | Self::Expired { token, .. }
            | Self::Restarted { token }
            | Self::Forgotten { token }
            | Self::Lost { token, .. }
            | Self::TooLarge { token, .. } => Some(*token),
        }
    }
}
