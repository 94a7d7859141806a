//! Services: actors whose state only their own shard touches.
//!
//! A service is a plain struct that implements [`Service`]. Its handler gets one message at a time and
//! answers at once ([`Answer::now`]), later from a future ([`Answer::later`]), or whenever it likes through
//! a [`Responder`]. Through its [`Context`] it calls and sends to others, sleeps, spawns tasks, launches
//! services and exits.
//!
//! Invariants: a service's handler and its tasks run on one thread, one at a time; a caller's messages
//! arrive in order; a call is answered exactly once, if only by the news that nobody will.

pub(crate) mod call;
pub(crate) mod caller;
pub(crate) mod cell;
pub(crate) mod context;
pub(crate) mod handle;
pub(crate) mod keyed;
pub(crate) mod kinds;
pub(crate) mod launch;
pub(crate) mod message;
pub(crate) mod names;
pub mod placement;
pub(crate) mod posting;
pub(crate) mod responder;
pub(crate) mod router;

use crate::error::Error;
use crate::socket::SocketEvent;
use context::Context;
use message::{Answer, Message, Payload};

/// An actor.
///
/// ```
/// use skyring::{Answer, Context, Message, Service};
///
/// /// Counts what it is sent.
/// #[derive(Default)]
/// struct Counter {
///     total: i64,
/// }
///
/// impl Service for Counter {
///     fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
///         match message.unpack::<(&str, i64)>() {
///             Ok(("ADD", number)) => {
///                 self.total += number;
///                 Answer::now(&self.total)
///             }
///             Ok((command, _)) => Answer::error(skyring::Error::remote(format!("unknown command {command}"))),
///             Err(error) => Answer::error(error),
///         }
///     }
/// }
/// ```
pub trait Service: Sized + 'static {
    /// Runs once, before the first message. An error ends the service, and whoever launched it gets it.
    ///
    /// # Errors
    /// Whatever keeps the service from working.
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }

    /// Handles one message. It must not block and should take microseconds: the shard's other services and
    /// connections wait for it. Longer work belongs into [`Answer::later`], where it lets go at every `await`.
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer;

    /// Takes the answer to a message that this service posted with a session of its own
    /// ([`Caller::post`](crate::Caller::post)). Services that await their calls have no use for it.
    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let _ = (context, session, result);
    }

    /// Takes what happened to one of this service's sockets; see [`Sockets`](crate::Sockets).
    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let _ = (context, event);
    }
}
