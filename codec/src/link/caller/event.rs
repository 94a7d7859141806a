//! The input and output types of a caller's link.

use bytes::Bytes;

use super::super::{
    MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, REASSEMBLY_BYTES_MAX, RELEASED_AT_ONCE_MIN, SESSIONS_MAX,
};
use crate::Millis;
use crate::link::Dialect;
use crate::native::{ErrorCode, Hello};
use crate::skynet::Address;

/// Limits of a [`CallerLink`](super::CallerLink).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Bytes that may be queued for the socket, for a connection or for an acknowledgement. Each message counts as
    /// its payload, its name and about 128 bytes for its record, which covers its headers in either dialect.
    pub out_buffer_bytes_max: usize,
    /// Calls that may be outstanding.
    pub sessions_max: usize,
    /// Bytes of a request, a push or a reply.
    pub message_bytes_max: usize,
    /// Bytes that all unfinished replies in parts may hold together.
    pub reassembly_bytes_max: usize,
    /// Whether messages are retained until the peer has acknowledged them, so that a session can be resumed after a
    /// broken connection. It needs a peer that does the same.
    pub is_resumed: bool,
    /// Messages that are transmitted at once when a connection takes those that waited for it; the others follow in
    /// steps that double.
    pub released_at_once_min: usize,
}

impl Default for CallerLimits {
    fn default() -> Self {
        Self {
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
            sessions_max: SESSIONS_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            reassembly_bytes_max: REASSEMBLY_BYTES_MAX,
            is_resumed: true,
            released_at_once_min: RELEASED_AT_ONCE_MIN,
        }
    }
}

/// A call, or a send, to be transmitted.
#[derive(Debug, Clone)]
pub struct CallerRequest<'a> {
    /// The address of the service.
    pub address: Address<'a>,
    /// The handle of the sender, 0 for none. The skynet dialect does not carry it.
    pub source: u32,
    /// The key that selects the instance of a keyed service. The skynet dialect does not carry it.
    pub key: u64,
    /// Held by reference until it is transmitted.
    pub payload: Bytes,
    /// The deadline; None for no limit.
    pub deadline: Option<Millis>,
    /// For a call: returned with its one event. None for a send, which has no event.
    pub token: Option<u64>,
    /// The call may run more than once, so it is sent again when the link cannot determine whether it ran. Ignored
    /// for a send.
    pub is_idempotent: bool,
}

/// An error reply of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    /// The kind of error. None in the skynet dialect, which carries no code, and for a code that a later version of
    /// the native dialect has added.
    pub code: Option<ErrorCode>,
    /// The text; not necessarily UTF-8.
    pub text: Bytes,
}

/// The outcome of a call, or a change of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerEvent {
    /// The handshake is complete, and queued messages can be transmitted.
    Ready {
        /// The dialect of this connection.
        dialect: Dialect,
        /// The hello of the peer, if it speaks the native dialect.
        peer: Option<Box<Hello>>,
    },
    /// The peer is about to close this connection: messages that are accepted from now on wait for the next one.
    /// Calls that were transmitted are still answered.
    Goodbye,
    /// Nothing was received from the peer for twice the interval of the heartbeat.
    Quiet,
    /// The peer is no longer quiet.
    Heard,
    /// The peer answered.
    Reply {
        /// The token of the call.
        token: u64,
        /// The answer, or the error.
        result: Result<Bytes, ReplyError>,
    },
    /// The deadline passed before an answer.
    Expired {
        /// The token of the call.
        token: u64,
        /// Whether the peer may have run it or may still run it: it was written.
        may_have_run: bool,
    },
    /// The peer is another process than the one that the call was transmitted to, which may have run it.
    Restarted {
        /// The token of the call.
        token: u64,
    },
    /// The peer is the same process, but has dropped the session. It may have run the call.
    Forgotten {
        /// The token of the call.
        token: u64,
    },
    /// The connection broke, or the link was closed, before an answer.
    Lost {
        /// The token of the call.
        token: u64,
        /// Whether the peer may have run it: some of it was transmitted.
        may_have_run: bool,
    },
    /// The answer is larger than this link accepts. The peer has run the call.
    TooLarge {
        /// The token of the call.
        token: u64,
        /// The length of the answer, as the peer declares it.
        bytes: usize,
    },
}

impl CallerEvent {
    /// The token of the call that ends with this event; None when it is not about a call.
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
