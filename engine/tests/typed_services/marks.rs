//! Methods of the trait `Service` in the block of a typed service, and names of all kinds.

use std::borrow::Cow;

use skyring::seri::Value;
use skyring::{Answer, Context, Error, Kind, Message, Payload};

use crate::node::wait_until;
use crate::start::start;
use crate::support::{run, serve};

/// Has every mark.
#[derive(Default)]
struct Marked {
    has_started: bool,
    answered: Vec<u32>,
}

#[skyring::service]
impl Marked {
    #[start]
    fn begin(&mut self, context: &Context<Self>) -> Result<(), Error> {
        self.has_started = true;
        context.name(".marked")
    }

    #[answered]
    fn take(&mut self, _context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        if result.is_ok() {
            self.answered.push(session);
        }
    }

    #[fallback]
    fn other(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.kind {
            Kind::LUA => Answer::now(&("other", message.payload.0.len())),
            kind => Answer::now(&("kind", kind.0)),
        }
    }

    fn has_started(&self) -> bool {
        self.has_started
    }

    fn post(&mut self, context: &Context<Self>) {
        context.post(
            context.handle(),
            Kind::LUA,
            77,
            Payload::pack("has_started").unwrap_or_default(),
        );
    }

    fn answers(&self) -> Vec<u32> {
        self.answered.clone()
    }

    /// The names of its arguments are those of variables in the written code, and one is a word of the language.
    fn names(
        &self,
        packer: i64,
        arguments: &str,
        message: Option<i8>,
        command: bool,
        r#type: f64,
    ) -> Payload {
        let sum = packer + i64::from(message.unwrap_or(0)) + i64::from(command) + r#type as i64;
        Payload::pack(&(arguments, sum)).unwrap_or_default()
    }

    fn borrowed(&self, text: Cow<'_, str>, value: Value, items: Vec<&str>) -> (String, Value, u64) {
        (text.into_owned(), value, items.len() as u64)
    }

    async fn later(values: &str, outcome: Option<&[u8]>) -> usize {
        values.len() + outcome.map_or(0, <[u8]>::len)
    }

    #[cfg(test)]
    fn conditional(&self) -> u8 {
        1
    }

    #[cfg(not(test))]
    fn absent(&self) -> u8 {
        2
    }

    fn last(&self) -> u8 {
        3
    }
}

#[test]
fn the_marked_methods_are_those_of_the_trait() {
    let node = start(1);
    serve(&node, "marked", |_| Marked::default());
    let marked = MarkedClient::at(node.client(), ".marked");
    assert_eq!(marked.has_started().wait(), Ok(true));
    assert_eq!(marked.post().wait(), Ok(()));
    // The answer to the service's own message and the client's next call come from different senders: either may be first.
    wait_until("the service has its own answer", || {
        marked.answers().wait() == Ok(vec![77])
    });
    let other = run(&node, |caller| async move {
        let lua: (String, usize) = caller.call(".marked", "unknown").await?.unpack()?;
        let kind = caller.call(".marked", "text").kind(Kind::TEXT).await?;
        let kind: (String, u8) = kind.unpack()?;
        let interface = caller.call(".marked", skyring::typed::DESCRIBE).await?;
        let interface = skyring::typed::Interface::from_payload(&interface)?;
        Ok::<_, Error>((lua, kind, interface.name))
    });
    let expected = (
        ("other".to_owned(), 8),
        ("kind".to_owned(), 0),
        "Marked".to_owned(),
    );
    assert_eq!(other, Ok(expected));
}

#[test]
fn an_argument_may_have_any_name_and_borrow_what_it_likes() {
    let node = start(1);
    serve(&node, "marked", |_| Marked::default());
    let marked = MarkedClient::at(node.client(), ".marked");
    let payload = marked
        .names(1, "text", Some(2), true, 4.0)
        .wait()
        .expect("an answer");
    assert_eq!(payload.unpack::<(&str, i64)>(), Ok(("text", 8)));
    let items = vec!["a", "b"];
    let borrowed = marked
        .borrowed(Cow::Borrowed("text"), Value::from(5), items)
        .wait();
    assert_eq!(borrowed, Ok(("text".to_owned(), Value::from(5), 2)));
    assert_eq!(marked.later("four", Some(b"three")).wait(), Ok(9));
}

#[test]
fn a_method_that_is_left_out_by_a_condition_leaves_the_others_as_they_are() {
    let node = start(1);
    serve(&node, "marked", |_| Marked::default());
    let marked = MarkedClient::at(node.client(), ".marked");
    assert_eq!(marked.conditional().wait(), Ok(1));
    assert_eq!(marked.last().wait(), Ok(3));
    let interface = skyring::typed::Interface::of::<Marked>();
    assert!(interface.method("conditional").is_some() && interface.method("absent").is_none());
    assert_eq!(
        interface.method("last").map(|method| method.to_string()),
        Some("last() -> u8".to_owned())
    );
}
