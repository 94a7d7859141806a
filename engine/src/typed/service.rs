//! The trait of typed services, and their handler.

use crate::core::payload::Kind;
use crate::service::context::Context;
use crate::service::message::{Answer, Message};
use crate::typed::arguments::Arguments;
use crate::typed::declaration::Declaration;

/// A service whose methods are its commands; [`service`](macro@crate::service) implements it.
pub trait TypedService: Sized + 'static {
    /// Its methods.
    const DECLARATION: &'static Declaration;

    /// Reads the arguments of a command and runs its method. `command` is `None` for a message that names none.
    fn dispatch(
        &mut self,
        context: &Context<Self>,
        message: &Message,
        command: Option<&[u8]>,
        arguments: &mut Arguments<'_>,
    ) -> Answer;
}

/// Handles a message to a typed service: the body of its [`Service::handle`](crate::Service::handle).
#[inline]
pub fn handle<S: TypedService>(service: &mut S, context: &Context<S>, message: Message) -> Answer {
    let mut arguments = Arguments::new(&message.payload, S::DECLARATION);
    let command = match message.kind {
        Kind::LUA => arguments.command(),
        // No command is sent as another kind of message.
        _ => None,
    };
    service.dispatch(context, &message, command, &mut arguments)
}
