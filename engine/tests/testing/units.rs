//! One service in a unit test.

use std::time::{Duration, Instant};

use skyring::testing::TestNode;
use skyring::{Answer, Child, Context, Error, Message, Service, Strategy, Supervisor};

/// Sums numbers, and saves the sum every ten seconds.
#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    #[start]
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let saver = context.clone();
        context.spawn(async move {
            let mut interval = saver.interval(Duration::from_secs(10));
            loop {
                interval.tick().await;
                let total = saver.update(|counter| counter.total);
                // The store's answer is not waited for.
                let _ = saver.send(".store", &("save", total));
            }
        });
        Ok(())
    }

    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }

    async fn fetch(context: &Context<Self>, name: String) -> Result<i64, Error> {
        let found = context.call(".store", &("load", name.as_str())).await?;
        found.unpack()
    }
}

#[test]
fn a_typed_service_is_called_and_its_messages_are_seen() -> Result<(), Error> {
    let node = TestNode::new();
    let store = node.probe(".store")?;
    let counter = node.launch(|_| Counter::default())?;
    let total = node.block_on(|caller| async move {
        let counter = CounterClient::at(caller, counter);
        counter.add(2).await?;
        counter.add(5).await
    })?;
    assert_eq!(total, 7);
    node.advance(Duration::from_secs(9));
    assert_eq!(store.waiting(), 0);
    node.advance(Duration::from_secs(2));
    let saved = store.next().expect("it saves");
    assert_eq!(saved.unpack::<(&str, i64)>()?, ("save", 7));
    Ok(())
}

#[test]
fn a_call_of_the_service_waits_until_the_test_answers() -> Result<(), Error> {
    let node = TestNode::new();
    let store = node.probe(".store")?;
    let counter = node.launch(|_| Counter::default())?;
    let fetched = std::rc::Rc::new(std::cell::RefCell::new(None));
    let result = std::rc::Rc::clone(&fetched);
    node.spawn(|caller| async move {
        let client = CounterClient::at(caller, counter);
        let answer = client.fetch("best".to_owned()).await;
        *result.borrow_mut() = Some(answer);
    });
    node.advance(Duration::from_secs(1));
    let asked = store.next().expect("it asks the store");
    assert_eq!(asked.unpack::<(&str, &str)>()?, ("load", "best"));
    assert!(fetched.borrow().is_none(), "nobody has answered");
    asked.answer(&99)?;
    node.advance(Duration::from_millis(1));
    assert_eq!(*fetched.borrow(), Some(Ok(99)));
    Ok(())
}

#[test]
fn an_hour_passes_at_once() -> Result<(), Error> {
    let node = TestNode::new();
    let store = node.probe(".store")?;
    node.launch(|_| Counter::default())?;
    let began = Instant::now();
    node.advance(Duration::from_secs(3_600));
    let ticks = std::iter::from_fn(|| store.next()).count();
    assert_eq!(ticks, 359, "the 360th is a millisecond later");
    println!("an hour took {:?}", began.elapsed());
    Ok(())
}

/// Panics when it is told to.
struct Fragile;

impl Service for Fragile {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        assert_ne!(message.unpack::<&str>(), Ok("break"), "told to");
        Answer::now(&"well")
    }
}

#[test]
fn a_supervisor_starts_a_service_again_in_virtual_time() -> Result<(), Error> {
    let node = TestNode::with_threads(2);
    let supervisor = Supervisor::new("parts", Strategy::OneForOne)
        .child(Child::new("fragile", |_| Fragile).name("@fragile"));
    node.block_on(|caller| async move { caller.supervise(supervisor).await })?;
    assert_eq!(node.call("@fragile", "hello")?.unpack::<&str>()?, "well");
    assert!(node.call("@fragile", "break").is_err());
    assert_eq!(
        node.call("@fragile", "hello").expect_err("not yet").code(),
        "restarted"
    );
    node.advance(Duration::from_secs(1));
    assert_eq!(node.call("@fragile", "hello")?.unpack::<&str>()?, "well");
    assert_eq!(node.metrics(|metrics| metrics.restarts.get()), Some(1));
    Ok(())
}

#[test]
fn a_service_that_keeps_itself_busy_does_not_stop_the_time() -> Result<(), Error> {
    struct Busy;
    impl Service for Busy {
        fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
            context.send(context.handle(), "again")
        }
        fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
            // Its own handle always exists.
            let _ = context.send_payload(context.handle(), message.payload);
            Answer::none()
        }
    }
    let node = TestNode::new();
    node.launch(|_| Busy)?;
    node.advance(Duration::from_millis(1));
    assert!(node.simulation().time() >= Duration::from_millis(1));
    Ok(())
}
