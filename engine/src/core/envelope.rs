//! The messages between the shards of a node.

use crate::core::payload::Payload;
use crate::core::request::{RemoteRequest, ReplyTo, Request};
use crate::core::router::Job;
use crate::core::socket_event::{Delivery, SocketId};
use crate::error::Error;

/// One message from a shard to another.
pub(crate) enum Envelope {
    Request(Request),
    Reply {
        reply_to: ReplyTo,
        result: Result<Payload, Error>,
    },
    /// Boxed, to keep the other envelopes small.
    Remote(Box<RemoteRequest>),
    Job(Job),
    /// A command to a socket: a job that counts as a message.
    SocketCommand(Job),
    /// A socket event for the socket's owner.
    Delivery(Delivery),
    /// The owner of a socket has handled events of this many bytes.
    Handled {
        socket: SocketId,
        bytes: u32,
    },
}

impl Envelope {
    /// The bytes of its payload, and whether it may be refused when the queue is full. Jobs and replies are never
    /// refused: there are no more of them than accepted requests.
    #[inline]
    pub(crate) fn weight(&self) -> (usize, Refusal) {
        match self {
            Envelope::Request(request) => (request.payload.0.len(), Refusal::new(request.waits)),
            Envelope::Remote(request) => (request.payload.0.len(), Refusal::new(request.waits)),
            Envelope::Reply { result, .. } => {
                let bytes = result.as_ref().map_or(0, |payload| payload.0.len());
                (bytes, Refusal::Never)
            }
            // Socket commands and events have bounds of their own.
            Envelope::Job(_)
            | Envelope::SocketCommand(_)
            | Envelope::Delivery(_)
            | Envelope::Handled { .. } => (0, Refusal::Never),
        }
    }
}

/// When a message is refused because a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// When the queue is full.
    AtOnce,
    /// When the calls that wait for space have reached their limit too.
    Late,
    /// Never.
    Never,
}

impl Refusal {
    fn new(waits: bool) -> Refusal {
        if waits { Refusal::Late } else { Refusal::AtOnce }
    }
}
