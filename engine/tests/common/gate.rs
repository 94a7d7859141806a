//! A service that answers on command: for calls that must stay unanswered while the test does something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyring::{Answer, Caller, Context, Error, Handle, Message, Payload, Responder, Service};

/// Keeps each `WAIT` unanswered. `OPEN` answers all of them with its second value, `EXIT` ends the service.
pub(crate) struct Gate {
    kept: Vec<Responder>,
    waiting: Arc<AtomicUsize>,
}

impl Gate {
    /// Launches a gate; `waiting` is the number of its unanswered calls.
    pub(crate) async fn launch(caller: &Caller, waiting: Arc<AtomicUsize>) -> Handle {
        caller
            .launch(move |_| Gate {
                kept: Vec::new(),
                waiting,
            })
            .await
            .expect("a gate launches")
    }
}

impl Service for Gate {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, Option<&str>)>() {
            Ok(("WAIT", _)) => {
                self.kept.push(context.responder());
                self.waiting.store(self.kept.len(), Ordering::Release);
                Answer::none()
            }
            Ok(("OPEN", text)) => {
                for responder in self.kept.drain(..) {
                    responder.answer(Payload::pack(&text));
                }
                self.waiting.store(0, Ordering::Release);
                Answer::now(&())
            }
            Ok(("EXIT", _)) => {
                context.exit();
                Answer::now(&())
            }
            Ok((command, _)) => Answer::error(Error::remote(format!("a gate knows no {command}"))),
            Err(error) => Answer::error(error),
        }
    }
}
