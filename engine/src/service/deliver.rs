//! A service without its type.

use std::rc::Rc;

use crate::core::payload::Payload;
use crate::core::request::Request;
use crate::core::socket_event::SocketEvent;
use crate::error::Error;
use crate::service::life::Life;
use crate::service::report::Report;

/// A service, as a shard sees it without its type.
pub(crate) trait Deliver {
    /// Handles one message, whose payload it takes. Only the router calls it, never while another handler runs.
    fn deliver(self: Rc<Self>, request: &mut Request);
    /// Delivers the answer to a post. Only the router calls it, never while another handler runs.
    fn answered(self: Rc<Self>, session: u32, result: Result<Payload, Error>);
    /// Delivers a socket event. Only the router calls it, never while another handler runs.
    fn socket_event(self: Rc<Self>, event: SocketEvent);
    /// Its life cycle and inbox counters.
    fn life(&self) -> &Rc<Life>;
    /// Ends it, after its `stop` if it has not failed.
    fn finish(self: Rc<Self>);
    /// Whether its `stop` does nothing.
    fn stops_at_once(&self) -> bool;
    /// What it tells of itself.
    fn report(&self, report: &mut Report);
    /// Drops its state and its tasks.
    fn end(&self);
}
