//! Answers every message with its own values. Good for measuring, and for trying a new cluster.

use skyring::{Answer, Context, Message, Service};

/// Answers with what it got. The bytes are not looked at, and not copied.
#[derive(Debug, Default)]
pub struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        if message.is_call() {
            Answer::payload(message.payload)
        } else {
            Answer::none()
        }
    }
}
