//! The trait of services.

use crate::core::payload::Payload;
use crate::core::socket_event::SocketEvent;
use crate::error::Error;
use crate::service::context::Context;
use crate::service::message::{Answer, Message};
use crate::service::report::Report;
use crate::service::stop::Stop;

/// An actor.
///
/// ```
/// use skyring::{Answer, Context, Message, Service};
///
/// /// Sums the numbers that it receives.
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
    /// Runs once, before the first message. An error ends the service, and the launching caller gets it.
    ///
    /// # Errors
    /// Any error that prevents the service from working.
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }

    /// Handles one message. It must not block and should take microseconds: the shard's other services and
    /// connections wait for it. Longer work belongs in [`Answer::later`], which yields at every `await`.
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer;

    /// Handles the answer to a message that this service posted with a session of its own
    /// ([`Caller::post`](crate::Caller::post)). Services that await their calls do not need it.
    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let _ = (context, session, result);
    }

    /// Whether `stop` does nothing, so that a node that stops need not call it: for kinds of which a node has very many.
    const STOPS_AT_ONCE: bool = false;

    /// Runs once before the service ends by itself ([`Caller::exit`](crate::Caller::exit)), is stopped by its supervisor
    /// or ends with its node: the place to write what is not written yet. The service takes no further messages then:
    /// calls fail, and have not run. [`Stop::later`] takes the rest of the time for the stop at most. It does not run
    /// after a failure, nor when another service ends this one.
    fn stop(&mut self, context: &Context<Self>) -> Stop {
        let _ = context;
        Stop::now()
    }

    /// Tells of the service what only it knows, for `/metrics` and `/api/status` of its node: its memory, and figures of its
    /// own. Called between messages, when somebody asks; it must take well under a microsecond.
    fn report(&self, report: &mut Report) {
        let _ = report;
    }

    /// Handles an event of one of this service's sockets; see [`Sockets`](crate::Sockets).
    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let _ = (context, event);
    }
}
