//! What a service is.

use crate::core::payload::Payload;
use crate::core::socket_event::SocketEvent;
use crate::error::Error;
use crate::service::context::Context;
use crate::service::message::{Answer, Message};

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
