//! Messages within a node: the router, a call to a service of the same shard, and batches from one shard to
//! another.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use skyring::log::Destination;
use skyring::placement::shard_of_handle;
use skyring::{Answer, Caller, Context, Error, Handle, Message, Node, Payload, Service};
use skyring_services::Echo;

/// Most messages in flight to another shard, well below the bounds of its queues.
const UNDER_WAY_MAX: u64 = 16_384;

/// Other services of the node, among which the router looks one up.
const OTHERS: usize = 1_000;

fn start(threads: usize) -> Node {
    let started = Node::builder()
        .threads(threads)
        .log_to(Destination::File("/dev/null".into()))
        .start();
    started.expect("a node")
}

/// Counts the sends that it gets, and answers calls with how many there were.
#[derive(Default)]
struct Sink(u64);

impl Service for Sink {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        if message.is_call() {
            return Answer::now(&self.0);
        }
        self.0 += 1;
        Answer::none()
    }
}

/// A sink on another shard than the caller's, or on the same.
async fn launch_sink(caller: &Caller, on_other_shard: bool) -> Result<Handle, Error> {
    loop {
        let sink = caller.launch(|_| Sink::default()).await?;
        let shard = shard_of_handle(sink, caller.shards());
        if (shard != caller.shard_index()) == on_other_shard {
            return Ok(sink);
        }
    }
}

/// What the messages of a measurement carry.
#[derive(Clone, Copy)]
enum Payloads {
    /// One payload, whose references both shards count.
    Shared,
    /// A payload each.
    Own,
}

/// The time that `messages` sends take until the last one was handled.
async fn send_all(
    caller: &Caller,
    sink: Handle,
    payloads: Payloads,
    messages: u64,
) -> Result<Duration, Error> {
    let values = ("GET", "player:10086");
    let payload = Payload::pack(&values)?;
    let before: u64 = caller.call(sink, &()).await?.unpack()?;
    let started = Instant::now();
    let mut left = messages;
    while left > 0 {
        let some = left.min(UNDER_WAY_MAX / 2);
        for _ in 0..some {
            match payloads {
                Payloads::Shared => caller.send_payload(sink, payload.clone())?,
                Payloads::Own => caller.send(sink, &values)?,
            }
        }
        left -= some;
        // What was sent before is handled when this is answered.
        let had: u64 = caller.call(sink, &()).await?.unpack()?;
        assert_eq!(had - before, messages - left, "a message is missing");
    }
    Ok(started.elapsed())
}

fn measured(node: &Node, on_other_shard: bool, payloads: Payloads, messages: u64) -> Duration {
    let measured = node.block_on(move |caller: Caller| async move {
        let sink = launch_sink(&caller, on_other_shard).await?;
        send_all(&caller, sink, payloads, messages).await
    });
    measured.expect("the node runs").expect("the sink answers")
}

/// The time that calls take, one after the other.
fn calls(node: &Node, name: &'static str, calls: u64) -> Duration {
    let measured = node.block_on(move |caller: Caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.name_service("echo", echo)?;
        let payload = Payload::pack(&("GET", "player:10086"))?;
        let started = Instant::now();
        for _ in 0..calls {
            match name {
                "" => caller.call_payload(echo, Ok(payload.clone())).await?,
                name => caller.call_payload(name, Ok(payload.clone())).await?,
            };
        }
        let took = started.elapsed();
        caller.end_service(echo);
        Ok::<_, Error>(took)
    });
    measured.expect("the node runs").expect("echo answers")
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let node = start(1);
    let mut group = criterion.benchmark_group("same shard");
    group.throughput(Throughput::Elements(1));
    group.bench_function("call", |bench| bench.iter_custom(|count| calls(&node, "", count)));
    group.bench_function("call by name", |bench| {
        bench.iter_custom(|count| calls(&node, ".echo", count))
    });
    group.bench_function("send", |bench| {
        bench.iter_custom(|count| measured(&node, false, Payloads::Shared, count))
    });
    let crowd = node.block_on(|caller: Caller| async move {
        for number in 0..OTHERS {
            let other = caller.launch(|_| Echo).await?;
            caller.name_service(&format!("other_{number}"), other)?;
        }
        Ok::<_, Error>(())
    });
    crowd.expect("the node runs").expect("they launch");
    group.bench_function("router: call by name among 1,000 services", |bench| {
        bench.iter_custom(|count| calls(&node, ".echo", count));
    });
    group.finish();

    let node = start(2);
    let mut group = criterion.benchmark_group("other shard");
    group.throughput(Throughput::Elements(1));
    group.bench_function("messages one way, in batches", |bench| {
        bench.iter_custom(|count| measured(&node, true, Payloads::Shared, count));
    });
    group.bench_function("the same, a payload each", |bench| {
        bench.iter_custom(|count| measured(&node, true, Payloads::Own, count));
    });
}
