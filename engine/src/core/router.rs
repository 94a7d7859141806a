//! The one way out of a room: whoever has a message for somebody else hands it to the router.

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

/// Work that a shard does on its own thread for another thread.
pub(crate) type Job = Box<dyn FnOnce(&Rc<ShardCore>) + Send>;

/// Something whose output is written at the end of a turn.
pub(crate) trait Flush {
    /// Writes what there is.
    fn flush(self: Rc<Self>, shard: &Rc<ShardCore>);
}

/// Hands messages on. `shard` is the core that the router is part of, for those who take the message.
pub(crate) trait Router {
    /// Sends a message to a service of this node, whichever shard it is on. Failures are answered.
    fn request(&self, shard: &Rc<ShardCore>, request: Request);

    /// Sends a message to another node whose route the caller remembers. Failures are answered.
    fn request_by_route(&self, shard: &Rc<ShardCore>, route: &Route, outgoing: Outgoing<'_>);

    /// Sends a message to another node by its name. Failures are answered.
    fn request_remote(&self, shard: &Rc<ShardCore>, request: RemoteRequest);

    /// Carries an answer to whoever waits for it, on this shard or on another.
    fn reply(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo, result: Result<Payload, Error>);

    /// Gives a service of this shard the answer to what it posted: at once, or behind what waits.
    fn answer_service(
        &self,
        shard: &Rc<ShardCore>,
        handle: Handle,
        session: u32,
        result: Result<Payload, Error>,
    );

    /// Hands what happened to a socket to the socket's owner, whichever shard that is on.
    fn deliver_event(&self, shard: &Rc<ShardCore>, delivery: Delivery);

    /// Stages a message for another shard, which gets it at the end of the turn. `Err` gives a message back that may
    /// be refused when too many wait.
    fn stage(&self, shard: &ShardCore, to: usize, envelope: Envelope) -> Result<(), Envelope>;

    /// Whether a service of this shard has that handle.
    fn has_service(&self, handle: Handle) -> bool;

    /// A service of this shard has ended: what others keep for it goes.
    fn service_ended(&self, shard: &Rc<ShardCore>, handle: Handle);

    /// The room of the shard that is of this type. A room finds its own state so, and no other.
    fn room(&self, wanted: TypeId) -> Option<&dyn Any>;
}
