//! Requests to services of this node and to other nodes, and the addresses of their answers.

use crate::config::WhenDown;
use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::slab::Key;
use crate::core::spans::SpanKey;
use crate::error::Text;
use skyring_codec::Millis;

/// The address of the answer to a request. It may be copied: a second answer is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyTo {
    /// The request is a send: there is no answer.
    Nobody,
    /// A call that waits on a shard of this node.
    Waiter { shard: u16, key: Key },
    /// A service that posted the message with a session of its own; see `service::posting`.
    Service {
        shard: u16,
        handle: Handle,
        session: u32,
    },
    /// A call to a group, and the number of the member that the request was sent to.
    Group { shard: u16, key: Key, member: u8 },
    /// An inbound connection of a shard of this node. A send is answered too, with session 0: the answer is dropped,
    /// but its `bytes` are uncounted.
    Connection {
        shard: u16,
        connection: Key,
        session: u32,
        bytes: u32,
    },
}

impl ReplyTo {
    /// The session that a service sees: 0 for a send, something else for a call.
    pub(crate) fn session(self) -> u32 {
        match self {
            ReplyTo::Nobody => 0,
            ReplyTo::Waiter { key, .. } | ReplyTo::Group { key, .. } => {
                (key.to_u64() as u32).wrapping_add(1).max(1)
            }
            ReplyTo::Service { session, .. } | ReplyTo::Connection { session, .. } => session,
        }
    }

    /// The shard that gets the answer; `None`: there is no answer.
    #[inline]
    pub(crate) fn shard(self) -> Option<usize> {
        match self {
            ReplyTo::Nobody => None,
            ReplyTo::Waiter { shard, .. }
            | ReplyTo::Service { shard, .. }
            | ReplyTo::Group { shard, .. }
            | ReplyTo::Connection { shard, .. } => Some(usize::from(shard)),
        }
    }
}

/// A request to a service of this node.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: Handle,
    pub(crate) source: Handle,
    pub(crate) kind: Kind,
    pub(crate) payload: Payload,
    pub(crate) reply_to: ReplyTo,
    /// The call waits for space instead of being refused.
    pub(crate) waits: bool,
    /// When its caller stops waiting; it is not handled after that.
    pub(crate) deadline: Option<Millis>,
    /// The span of a traced call at its caller; of a request of another node, the callee's; of a send, the sender's.
    pub(crate) span: SpanKey,
}

impl Request {
    /// Moves the message out; what is left has no payload.
    pub(crate) fn take(&mut self) -> Request {
        Request {
            payload: std::mem::take(&mut self.payload),
            ..*self
        }
    }
}

/// A request to another node, which owns its fields, so that it can wait.
#[derive(Debug)]
pub(crate) struct RemoteRequest {
    pub(crate) node: Text,
    pub(crate) address: Address,
    /// The calling service; [`Handle::NONE`] for any other caller.
    pub(crate) source: Handle,
    /// Selects the channel: messages of one key keep their order.
    pub(crate) key: u64,
    /// The channel of the key, once the number of the node's channels is known.
    pub(crate) channel: u32,
    pub(crate) payload: Payload,
    pub(crate) reply_to: ReplyTo,
    pub(crate) deadline: Option<Millis>,
    /// The timeout of the call, for the text of its error; 0 = no limit.
    pub(crate) timeout_ms: u64,
    /// The call may be run more than once.
    pub(crate) is_idempotent: bool,
    /// The call waits for space instead of being refused.
    pub(crate) waits: bool,
    /// The span of a traced call; of a send, the sender's.
    pub(crate) span: SpanKey,
    /// What happens to it while the node is down; `None`: what the map or the config says.
    pub(crate) when_down: Option<WhenDown>,
}

impl RemoteRequest {
    /// The request, borrowed.
    #[inline]
    pub(crate) fn outgoing(&mut self) -> Outgoing<'_> {
        Outgoing {
            address: &self.address,
            source: self.source,
            key: self.key,
            payload: &mut self.payload,
            reply_to: self.reply_to,
            deadline: self.deadline,
            timeout_ms: self.timeout_ms,
            is_idempotent: self.is_idempotent,
            waits: self.waits,
            span: self.span,
            when_down: self.when_down,
        }
    }
}

/// A request to another node, borrowed from its caller until a channel accepts it.
pub(crate) struct Outgoing<'a> {
    pub(crate) address: &'a Address,
    pub(crate) source: Handle,
    /// Selects the channel, and the instance of a keyed service.
    pub(crate) key: u64,
    /// The receiver takes it. By reference, because each move costs two loads that wait for the stores of the move
    /// before.
    pub(crate) payload: &'a mut Payload,
    pub(crate) reply_to: ReplyTo,
    pub(crate) deadline: Option<Millis>,
    /// The timeout of the call, for the text of its error; 0 = no limit.
    pub(crate) timeout_ms: u64,
    /// The call waits for space in the link instead of being refused.
    pub(crate) waits: bool,
    /// The call may be run more than once.
    pub(crate) is_idempotent: bool,
    /// The span of a traced call; of a send, the sender's.
    pub(crate) span: SpanKey,
    /// What happens to it while the node is down; `None`: what the map or the config says.
    pub(crate) when_down: Option<WhenDown>,
}

impl Outgoing<'_> {
    /// The request with fields of its own, so that it can wait.
    pub(crate) fn into_request(self, node: Text) -> RemoteRequest {
        RemoteRequest {
            node,
            address: self.address.clone(),
            source: self.source,
            key: self.key,
            channel: 0,
            payload: std::mem::take(self.payload),
            reply_to: self.reply_to,
            deadline: self.deadline,
            timeout_ms: self.timeout_ms,
            is_idempotent: self.is_idempotent,
            waits: self.waits,
            span: self.span,
            when_down: self.when_down,
        }
    }
}
