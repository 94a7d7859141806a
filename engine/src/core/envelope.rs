//! What travels between the shards of a node.

use crate::core::payload::Payload;
use crate::core::request::{RemoteRequest, ReplyTo, Request};
use crate::core::router::Job;
use crate::core::socket_event::{Delivery, SocketId};
use crate::error::Error;

/// One thing that a shard hands to another.
pub(crate) enum Envelope {
    Request(Request),
    Reply {
        reply_to: ReplyTo,
        result: Result<Payload, Error>,
    },
    /// Boxed, so that it does not make every envelope as large.
    Remote(Box<RemoteRequest>),
    Job(Job),
    /// What a service wants of a socket: a job that counts as a message.
    SocketCommand(Job),
    /// What happened to a socket, for its owner.
    Delivery(Delivery),
    /// The owner of a socket has handled so much of what happened.
    Handled {
        socket: SocketId,
        bytes: u32,
    },
}

impl Envelope {
    /// The bytes of its payload, and whether it may be refused for want of room. Jobs and replies are not: there
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
            Envelope::Job(_)
            | Envelope::SocketCommand(_)
            | Envelope::Delivery(_)
            | Envelope::Handled { .. } => (0, Refusal::Never),
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
