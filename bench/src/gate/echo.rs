//! The service behind the gate: answers each packet with its own bytes.

use skyring::{Answer, Context, Error, Kinds, Message, Service};

/// Answers each packet with its own bytes.
struct GateEcho;

impl Service for GateEcho {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, u32, Option<&[u8]>)>() {
            Ok(("data", _client, Some(bytes))) => Answer::now(bytes),
            Ok(("open" | "close", ..)) => Answer::none(),
            Ok((event, ..)) => Answer::error(Error::remote(format!("the gate sends no {event}"))),
            Err(error) => Answer::error(error),
        }
    }
}

/// Adds the kind `gate-echo`, a target of gates.
pub(super) fn gate_echo_kind(kinds: Kinds) -> Kinds {
    kinds.add("gate-echo", |arguments| match arguments {
        "" => Ok(GateEcho),
        _ => Err(Error::invalid("gate-echo takes no arguments")),
    })
}
