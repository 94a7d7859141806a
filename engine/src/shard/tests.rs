//! Component tests of a shard's router: a whole shard on the test's thread, without sockets, in the test's time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::ClusterShared;
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::injector::Injector;
use crate::core::jobs::Jobs;
use crate::core::limits::INBOX_MESSAGES_MAX;
use crate::core::node::NodeShared;
use crate::core::payload::{Kind, Payload};
use crate::core::placement::shard_of_handle;
use crate::core::request::{ReplyTo, Request};
use crate::core::settings::Settings;
use crate::core::spans::SpanKey;
use crate::core::waiters::{Outcome, Polled};
use crate::error::Error;
use crate::log::Logger;
use crate::rt::{Runtime, manual};
use crate::service::context::Context;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::service::{Kinds, Service};
use crate::shard::mesh::Mesh;
use crate::shard::{Parts, Shard};

/// The shards of one node, all on this thread.
struct Shards(Vec<Rc<ShardCore<Shard>>>);

impl Shards {
    fn new(count: usize) -> Shards {
        manual::enter();
        let injectors = (0..count)
            .map(|_| Injector::new(Runtime::Manual).expect("a doorbell"))
            .collect();
        let node = NodeShared::new(
            injectors,
            Settings::default(),
            Logger::disabled(),
            Jobs::disabled(),
            1_024,
        );
        let parts = Parts {
            node: Arc::new(node),
            mesh: Arc::new(Mesh::new(count)),
            cluster: ClusterShared::new(ClusterMap::new()),
            sockets: Arc::default(),
            kinds: Kinds::default(),
        };
        Shards((0..count).map(|index| Shard::new(index, &parts)).collect())
    }

    /// A shard as its rooms see it.
    fn core(&self, index: usize) -> Rc<ShardCore> {
        Rc::clone(&self.0[index]) as _
    }

    /// Runs a turn of each shard until no shard has more to do.
    fn run(&self) {
        for _ in 0..10 {
            for (index, shard) in self.0.iter().enumerate() {
                while shard.router.turn(&self.core(index)) {}
            }
            manual::run();
        }
    }

    /// A handle whose service lives on a shard.
    fn handle_on(&self, shard: usize) -> Handle {
        self.0[0].node.next_handle_on(shard)
    }
}

type Handler = Box<dyn FnMut(&Context<Scripted>, Message) -> Answer>;

/// A service that a test writes in place.
struct Scripted(Handler);

impl Service for Scripted {
    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        (self.0)(context, message)
    }
}

fn launch(
    shard: &Rc<ShardCore>,
    handle: Handle,
    handler: impl FnMut(&Context<Scripted>, Message) -> Answer + 'static,
) {
    launch_here(shard, handle, |_| Scripted(Box::new(handler))).expect("it starts");
}

fn request(target: Handle, text: &str, reply_to: ReplyTo) -> Request {
    Request {
        target,
        source: Handle(1),
        kind: Kind::LUA,
        payload: Payload::pack(text).expect("a text"),
        reply_to,
        waits: false,
        deadline: None,
        span: SpanKey::NONE,
    }
}

fn outcome(shard: &Rc<ShardCore>, key: crate::core::slab::Key) -> Option<Result<String, Error>> {
    let result = match shard.poll_call(key, std::task::Waker::noop()) {
        Polled::Pending => return None,
        Polled::Payload(payload) => Ok(payload),
        Polled::Outcome(Outcome::Answer(result)) => result,
        Polled::Outcome(Outcome::Elapsed) => panic!("nothing has a deadline here"),
    };
    Some(result.map(|payload| payload.unpack().expect("a text")))
}

#[test]
fn a_full_inbox_in_the_middle_of_a_batch_refuses_the_rest_and_takes_messages_again_afterwards() {
    let shards = Shards::new(1);
    let shard = shards.core(0);
    let handled = Rc::new(Cell::new(0));
    let count = Rc::clone(&handled);
    let target = shards.handle_on(0);
    launch(&shard, target, move |_, _| {
        count.set(count.get() + 1);
        Answer::now("done")
    });
    let more = 10;
    let keys: Vec<_> = (0..INBOX_MESSAGES_MAX + more)
        .map(|_| shard.insert_waiter(None))
        .collect();
    // As a handler that sends them all: they wait behind it.
    shard.hold_messages(|| {
        for key in &keys {
            shard.request(request(target, "x", shard.waiter(*key)));
        }
    });
    let refused = keys
        .iter()
        .filter(|key| matches!(outcome(&shard, **key), Some(Err(Error::Overloaded { .. }))));
    assert_eq!(refused.count(), more);
    shards.run();
    assert_eq!(handled.get(), INBOX_MESSAGES_MAX);
    let key = shard.insert_waiter(None);
    shard.request(request(target, "x", shard.waiter(key)));
    assert_eq!(outcome(&shard, key), Some(Ok("done".to_owned())));
}

#[test]
fn messages_of_a_handler_wait_until_it_has_returned_and_keep_their_order() {
    let shards = Shards::new(1);
    let shard = shards.core(0);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (first, second) = (shards.handle_on(0), shards.handle_on(0));
    let log = Rc::clone(&seen);
    launch(&shard, second, move |_, message| {
        log.borrow_mut().push(message.unpack::<String>().expect("a text"));
        Answer::none()
    });
    let log = Rc::clone(&seen);
    launch(&shard, first, move |context, _| {
        for number in 0..3 {
            context
                .send(second, &format!("message {number}"))
                .expect("an address");
        }
        log.borrow_mut().push("returned".to_owned());
        Answer::none()
    });
    shard.request(request(first, "go", ReplyTo::Nobody));
    shards.run();
    assert_eq!(
        *seen.borrow(),
        ["returned", "message 0", "message 1", "message 2"]
    );
}

#[test]
fn calls_between_shards_are_answered_and_counted_and_one_for_nobody_fails() {
    let shards = Shards::new(2);
    let (here, there) = (shards.core(0), shards.core(1));
    let target = shards.handle_on(1);
    assert_eq!(shard_of_handle(target, 2), 1);
    launch(&there, target, |_, message| {
        Answer::now(&format!("{}!", message.unpack::<String>().expect("a text")))
    });
    let key = here.insert_waiter(None);
    here.request(request(target, "hello", here.waiter(key)));
    assert_eq!(outcome(&here, key), None, "it crosses at the end of the turn");
    shards.run();
    assert_eq!(outcome(&here, key), Some(Ok("hello!".to_owned())));
    assert_eq!(here.node.metrics.messages_crossed.get(), 2);
    let key = here.insert_waiter(None);
    let nobody = shards.handle_on(1);
    here.request(request(nobody, "hello", here.waiter(key)));
    shards.run();
    assert!(matches!(
        outcome(&here, key),
        Some(Err(Error::NoSuchService { .. }))
    ));
}

#[test]
fn a_message_whose_caller_has_given_up_is_not_handled() {
    let shards = Shards::new(1);
    let shard = shards.core(0);
    let target = shards.handle_on(0);
    launch(&shard, target, |_, _| panic!("nobody waits for it"));
    let mut late = request(target, "late", ReplyTo::Nobody);
    late.deadline = Some(shard.now());
    manual::advance(std::time::Duration::from_millis(2));
    shard.update_now();
    shard.request(late);
    assert_eq!(shard.node.metrics.messages_expired.get(), 1);
}
