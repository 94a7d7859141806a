//! Real nodes for tests: started quietly with few threads, and waited for with generous bounds.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skyring::log::Destination;
use skyring::{Answer, Caller, Context, Handle, Message, Node, NodeBuilder, Service};

/// How long tests wait for what should happen at once: other work shares the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A node that logs nowhere. Each node begins on the next processor, so that they share them fairly.
pub(crate) fn builder(threads: usize) -> NodeBuilder {
    static NEXT_CPU: AtomicUsize = AtomicUsize::new(0);
    Node::builder()
        .threads(threads)
        .first_cpu(NEXT_CPU.fetch_add(1, Ordering::Relaxed))
        .log_to(Destination::File("/dev/null".into()))
}

/// Starts a node with so many shards.
pub(crate) fn start(threads: usize) -> Node {
    builder(threads).start().expect("a node starts on this machine")
}

/// Runs `work` on the node to its end. A failed assertion within it fails the test.
pub(crate) fn run<T, W, F>(node: &Node, work: W) -> T
where
    T: Send + 'static,
    W: FnOnce(Caller) -> F + Send + 'static,
    F: Future<Output = T> + 'static,
{
    node.block_on(work).expect("the work ends without a panic")
}

/// Looks again and again until the condition holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

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

/// Launches a service that answers with what it gets.
pub(crate) async fn launch_echo(caller: &Caller) -> Handle {
    launch(caller, |_, message| Answer::payload(message.payload)).await
}

/// Runs all futures at once and gives their values in order.
pub(crate) async fn all<T, F>(caller: &Caller, futures: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let values: Rc<RefCell<Vec<Option<T>>>> = Rc::default();
    let left = Rc::new(RefCell::new(0usize));
    for (index, future) in futures.into_iter().enumerate() {
        values.borrow_mut().push(None);
        *left.borrow_mut() += 1;
        let (values, left) = (Rc::clone(&values), Rc::clone(&left));
        caller.spawn(async move {
            let value = future.await;
            values.borrow_mut()[index] = Some(value);
            *left.borrow_mut() -= 1;
        });
    }
    while *left.borrow() > 0 {
        caller.sleep(Duration::from_millis(1)).await;
    }
    values.take().into_iter().flatten().collect()
}
