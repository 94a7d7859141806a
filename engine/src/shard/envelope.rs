//! What travels between the shards of a node, and where its answer goes.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::channel::Outgoing;
use crate::error::{Error, Text};
use crate::service::handle::{Address, Handle};
use crate::service::message::{Kind, Payload};
use crate::shard::Shard;
use crate::shard::slab::Key;
use crate::socket::{Delivery, Order, SocketId};

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

/// What waits on a shard until no handler runs.
pub(crate) enum Due {
    Request(Request),
    /// The answer to what a service posted.
    Answer {
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    },
    /// What happened to a socket of a service.
    Event(Delivery),
}

/// A message on its way to another node.
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
    /// The same for its channel.
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

/// Work that a shard does on its own thread for another thread.
pub(crate) type Errand = Box<dyn FnOnce(&Rc<Shard>) + Send>;

impl Envelope {
    /// The bytes of its payload, and whether it may be refused for want of room. Errands and replies are not: there
    /// are never more than what was let in.
    #[inline]
    pub(crate) fn weight(&self) -> (usize, Refusal) {
        match self {
            Envelope::Request(request) => (request.payload.0.len(), Refusal::of(request.waits)),
            Envelope::Remote(request) => (request.payload.0.len(), Refusal::of(request.waits)),
            Envelope::Reply { result, .. } => {
                let bytes = result.as_ref().map_or(0, |payload| payload.0.len());
                (bytes, Refusal::Never)
            }
            // What sockets hand over has bounds of its own.
            Envelope::Errand(_) | Envelope::Order(_) | Envelope::Delivery(_) | Envelope::Handled { .. } => {
                (0, Refusal::Never)
            }
        }
    }
}

/// When something is refused that there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// When there is none.
    AtOnce,
    /// When as many again wait for room.
    Late,
    /// It is let in always.
    Never,
}

impl Refusal {
    fn of(waits: bool) -> Refusal {
        if waits { Refusal::Late } else { Refusal::AtOnce }
    }
}

/// One thing that a shard hands to another.
pub(crate) enum Envelope {
    Request(Request),
    Reply {
        reply_to: ReplyTo,
        result: Result<Payload, Error>,
    },
    /// Boxed, so that it does not make every envelope as large.
    Remote(Box<RemoteRequest>),
    Errand(Errand),
    /// What a service wants of a socket.
    Order(Box<Order>),
    /// What happened to a socket, for its owner.
    Delivery(Delivery),
    /// The owner of a socket has handled so much of what happened.
    Handled {
        socket: SocketId,
        bytes: u32,
    },
}
