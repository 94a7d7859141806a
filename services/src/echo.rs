//! Answers every call with the values it carries. Useful to measure and to try out a new cluster.

use skyring::{Answer, Context, Message, Service};

/// Answers a call with its own payload. The bytes are neither decoded nor copied.
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
