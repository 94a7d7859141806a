//! A service whose type is not known.

use std::rc::Rc;

use crate::core::payload::Payload;
use crate::core::request::Request;
use crate::core::socket_event::SocketEvent;
use crate::error::Error;
use crate::service::life::Life;

/// What a shard knows of a service whose type it does not know.
pub(crate) trait Deliver {
    /// Handles one message. Only the router calls it, never while another handler runs.
    fn deliver(self: Rc<Self>, request: Request);
    /// Hands over the answer to what it posted. Only the router calls it, never while another handler runs.
    fn answered(self: Rc<Self>, session: u32, result: Result<Payload, Error>);
    /// Hands over what happened to a socket. Only the router calls it, never while another handler runs.
    fn socket_event(self: Rc<Self>, event: SocketEvent);
    /// Its life.
    fn life(&self) -> &Rc<Life>;
    /// Drops its state and its tasks.
    fn end(&self);
}
