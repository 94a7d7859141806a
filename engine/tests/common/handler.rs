//! Services that are a closure.

use skyring::{Answer, Caller, Context, Handle, Message, Service};

/// A service whose handler is a closure.
pub(crate) struct Handler<F>(pub(crate) F);

impl<F: FnMut(&Caller, Message) -> Answer + 'static> Service for Handler<F> {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        (self.0)(context, message)
    }
}

/// Launches a service whose handler is a closure.
pub(crate) async fn launch<F>(caller: &Caller, handler: F) -> Handle
where
    F: FnMut(&Caller, Message) -> Answer + Send + 'static,
{
    caller
        .launch(move |_| Handler(handler))
        .await
        .expect("a service without a start launches")
}

/// Launches a service that answers with the request's payload.
pub(crate) async fn launch_echo(caller: &Caller) -> Handle {
    launch(caller, |_, message| Answer::payload(message.payload)).await
}
