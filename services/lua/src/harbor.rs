//! The service kind `harbor`, which Skynet's library expects. A harbor runs alone here: a global name that a service
//! registers here becomes a local name of the node.

use skyring::{Answer, Context, Kind, Message, Service};

use crate::kind;

/// Registers names.
pub(crate) struct Harbor;

impl Service for Harbor {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        // "N name" registers the name for the source of the message.
        if message.kind == Kind(kind::HARBOR)
            && let Ok(text) = std::str::from_utf8(&message.payload.0)
            && let Some(name) = text.strip_prefix("N ")
            && let Err(error) = context.name_service(name, message.source)
        {
            context.log(error);
        }
        Answer::none()
    }
}
