//! Messages on their way: to a service of this node, to another node, and where the answer goes.

use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::slab::Key;
use crate::error::Text;
use skyring_codec::Millis;

/// Where the answer to a request goes. Copied freely: answering twice finds nobody the second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyTo {
    /// It was a send.
    Nobody,
    /// A call that waits on a shard of this node.
    Waiter { shard: u16, key: Key },
    /// A message that a service posted with a session of its own; see `service::posting`.
    Service {
        shard: u16,
        handle: Handle,
        session: u32,
    },
    /// A call to a group that was sent to one of its members, by the member's number.
    Group { shard: u16, key: Key, member: u8 },
    /// A request that came over a connection that a shard of this node owns. It is answered even if it
    /// was a send, with session 0: the answer goes nowhere, but ends the counting of its `bytes`.
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

    /// The shard that takes the answer; `None`: nobody does.
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

/// A message on its way to a service of this node.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: Handle,
    pub(crate) source: Handle,
    pub(crate) kind: Kind,
    pub(crate) payload: Payload,
    pub(crate) reply_to: ReplyTo,
    /// Its caller waits for room instead of being refused.
    pub(crate) waits: bool,
    /// When its caller gives up; nobody handles it after that.
    pub(crate) deadline: Option<Millis>,
}

/// A message on its way to another node, kept until it can go on.
#[derive(Debug)]
pub(crate) struct RemoteRequest {
    pub(crate) node: Text,
    pub(crate) address: Address,
    /// The service that asks; [`Handle::NONE`] for a caller that is none.
    pub(crate) source: Handle,
    /// What decides on the channel: messages of one key keep their order.
    pub(crate) key: u64,
    /// The channel of the key, once the number of the node's channels is known.
    pub(crate) channel: u32,
    pub(crate) payload: Payload,
    pub(crate) reply_to: ReplyTo,
    pub(crate) deadline: Option<Millis>,
    /// The time that the call was given, for the text of its error; 0 = no limit.
    pub(crate) timeout_ms: u64,
    /// The call may be run more than once.
    pub(crate) is_idempotent: bool,
    /// It waits for room instead of being refused.
    pub(crate) waits: bool,
}

impl RemoteRequest {
    /// The same, borrowed.
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
        }
    }
}

/// A call, or a send, to another node, borrowed from whoever makes it until a channel has taken it.
pub(crate) struct Outgoing<'a> {
    pub(crate) address: &'a Address,
    pub(crate) source: Handle,
    /// What decides on the channel, and on the instance of a keyed service.
    pub(crate) key: u64,
    /// Taken by whoever it goes on with. By reference, because each move of it is two loads that wait for the stores
    /// of the move before.
    pub(crate) payload: &'a mut Payload,
    pub(crate) reply_to: ReplyTo,
    pub(crate) deadline: Option<Millis>,
    /// The time that the call was given, for the text of its error; 0 = no limit.
    pub(crate) timeout_ms: u64,
    /// The call waits for room in the link instead of being refused.
    pub(crate) waits: bool,
    /// The call may be run more than once.
    pub(crate) is_idempotent: bool,
}

impl Outgoing<'_> {
    /// The same as a value of its own, for whoever has to keep it.
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
        }
    }
}
