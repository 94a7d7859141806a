//! Services that make calls to answer calls.

use std::time::Duration;

use skyring::{Address, Answer, Context, Error, Message, Payload, Responder, Service};

/// Answers `echo` with its text, `fail` with an error, and `never` never.
pub(crate) struct Echo;

impl Service for Echo {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, &str)>() {
            Ok(("echo", text)) => Answer::now(text),
            Ok(("never", _)) => {
                let responder = context.responder();
                let sleeper = context.clone();
                context.spawn(async move {
                    sleeper.sleep(Duration::from_secs(3600)).await;
                    drop(responder);
                });
                Answer::none()
            }
            Ok(_) => Answer::error(Error::remote("no")),
            Err(error) => Answer::error(error),
        }
    }
}

/// Answers with the `traceparent` of a request over HTTP that it would make.
pub(crate) struct Outgoing;

impl Service for Outgoing {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        Answer::now(context.traceparent().unwrap_or_default().as_str())
    }
}

/// Asks `@db` on the node `db`: at once, or after a pause.
pub(crate) struct Front;

impl Service for Front {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let (method, text) = match message.unpack::<(String, String)>() {
            Ok(values) => values,
            Err(error) => return Answer::error(error),
        };
        let asked = match &*method {
            "now" | "later" => "echo".to_owned(),
            other => other.to_owned(),
        };
        let caller = context.clone();
        Answer::later(async move {
            if method == "later" {
                caller.sleep(Duration::from_millis(5)).await;
            }
            caller.node("db").call("@db", &(&*asked, &*text)).await
        })
    }
}

/// Asks the same with posts, as interpreters do.
#[derive(Default)]
pub(crate) struct Poster {
    asked: Option<(Responder, Payload)>,
}

const PAUSE: u32 = 1;
const QUESTION: u32 = 2;

impl Service for Poster {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let text = match message.unpack::<(&str, &str)>() {
            Ok((_, text)) => text,
            Err(error) => return Answer::error(error),
        };
        let question = Payload::pack(&("echo", text)).unwrap_or_default();
        self.asked = Some((context.responder(), question));
        context.wake_after(Duration::from_millis(5), PAUSE);
        Answer::none()
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let Some((responder, question)) = self.asked.take() else {
            return;
        };
        if session == PAUSE {
            let db = context.node("db");
            context.post_remote(&db, Address::from("@db"), QUESTION, question.clone(), None);
            self.asked = Some((responder, question));
        } else {
            responder.answer(result);
        }
    }
}
