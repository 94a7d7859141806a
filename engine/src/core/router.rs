//! The router: everything that leaves a room goes through it.

use std::any::{Any, TypeId};
use std::rc::Rc;

use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::request::{Outgoing, RemoteRequest, ReplyTo, Request};
use crate::core::route::Route;
use crate::core::socket_event::Delivery;
use crate::error::Error;

/// A job: work that a shard runs on its own thread for another thread.
pub(crate) type Job = Box<dyn FnOnce(&Rc<ShardCore>) + Send>;

/// A connection whose output is written at the end of a turn.
pub(crate) trait Flush {
    /// Writes the output.
    fn flush(self: Rc<Self>, shard: &Rc<ShardCore>);
}

/// Routes messages between the rooms of a shard and to other shards. `shard` is the core that contains the router.
pub(crate) trait Router {
    /// Sends a message to a service of this node, on any shard. Failures are answered. Its payload is taken
    /// out where it is handled or stored: by value it would be copied at each call, and a payload that was just stored is
    /// slow to load.
    fn request(&self, shard: &Rc<ShardCore>, request: &mut Request);

    /// Sends a message to another node by a cached route. Failures are answered.
    fn request_by_route(&self, shard: &Rc<ShardCore>, route: &Route, outgoing: Outgoing<'_>);

    /// Sends a message to another node by its name. Failures are answered.
    fn request_remote(&self, shard: &Rc<ShardCore>, request: RemoteRequest);

    /// Delivers an answer to its waiter, on this shard or another.
    fn reply(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo, result: Result<Payload, Error>);

    /// Delivers to a service of this shard the answer to its post: at once, or behind the queued messages.
    fn answer_service(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    );

    /// Delivers a socket event to the socket's owner, on any shard.
    fn deliver_event(&self, shard: &Rc<ShardCore>, delivery: Delivery);

    /// Stages a message for another shard, which gets it at the end of the turn. `Err` returns a message that may be
    /// refused when the queue is full.
    fn stage(&self, shard: &ShardCore, to: usize, envelope: Envelope) -> Result<(), Envelope>;

    /// Whether a service of this shard has this handle.
    fn has_service(&self, handle: Handle) -> bool;

    /// Notifies the other rooms that a service of this shard has ended.
    fn service_ended(&self, shard: &Rc<ShardCore>, handle: Handle);

    /// What waits for the shard: jobs of other threads, batches of other shards, queued messages.
    fn inbox_depth(&self, shard: &ShardCore) -> usize;

    /// The room of the shard with this type. A room finds its own state with this, and no other.
    fn room(&self, wanted: TypeId) -> Option<&dyn Any>;
}
