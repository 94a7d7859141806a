//! The service kind `harbor`: what Skynet's own bootstrap expects to be there. Nodes have no harbors here; it
//! only gives services the global names that they ask for, which are names of the node.

use skyring::{Answer, Context, Kind, Message, Service};

/// Gives names.
pub(crate) struct Harbor;

/// What Skynet calls PTYPE_HARBOR.
const HARBOR: Kind = Kind(5);

impl Service for Harbor {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        // "N name" gives the name to whom the message says it comes from.
        if message.kind == HARBOR
            && let Ok(text) = std::str::from_utf8(&message.payload.0)
            && let Some(name) = text.strip_prefix("N ")
            && let Err(error) = context.name_service(name, message.source)
        {
            context.log(error);
        }
        Answer::none()
    }
}
