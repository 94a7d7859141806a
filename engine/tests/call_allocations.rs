//! The allocations of calls between two nodes over TCP: at most one for each call at each end, for the values that
//! are packed there; and the memory of a small payload that is kept: hardly more than itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyring::log::Destination;
use skyring::{Answer, Caller, ClusterMap, Context, Error, Message, Node, Payload, Runtime, Service};

thread_local! {
    // Of this thread only: each node has one shard, so each end counts its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that are allocated now, by all threads.
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(
    unsafe_code,
    reason = "the only way to count allocations; every method passes its arguments on to the system's \
              allocator as they are, and so keeps the contract as far as the system's does. The counter is a \
              thread-local without a destructor or lazy initialisation, so touching it allocates nothing"
)]
// SAFETY: see the reason above.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        LIVE_BYTES.fetch_add(size, Ordering::Relaxed);
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with `layout`, as every pointer given out here did.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Answers `("GET", value)` with the value, packed again, and anything else with the bytes that its thread has
/// allocated.
struct Server;

impl Service for Server {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<(&str, &str)>() {
            Ok(("GET", value)) => Answer::now(value),
            _ => Answer::now(&allocations()),
        }
    }
}

/// The same as a typed service.
struct TypedServer;

#[skyring::service]
impl TypedServer {
    #[command("GET")]
    fn get<'a>(&self, value: &'a str) -> &'a str {
        value
    }

    fn allocations(&self) -> u64 {
        allocations()
    }
}

/// Calls in a row of each task.
const CALLS: u64 = 500;

/// Makes calls, `tasks` at a time, each `CALLS` in a row, with `bytes` bytes in each direction.
async fn work(caller: &Caller, tasks: u64, bytes: usize) -> Result<(), Error> {
    let db = caller.node("db");
    let done = std::rc::Rc::new(Cell::new(0));
    for _ in 0..tasks {
        let (db, done) = (db.clone(), done.clone());
        caller.spawn(async move {
            let value = "x".repeat(bytes);
            for _ in 0..CALLS {
                let reply: Payload = db
                    .call("@server", &("GET", value.as_str()))
                    .await
                    .expect("an answer");
                assert!(reply.unpack::<&str>() == Ok(&value));
            }
            done.set(done.get() + 1);
        });
    }
    while done.get() < tasks {
        caller.sleep(std::time::Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Like `work`, through a typed client.
async fn work_typed(caller: &Caller, tasks: u64, bytes: usize) -> Result<(), Error> {
    let server = TypedServerClient::at(caller.node("db"), "@server");
    let done = std::rc::Rc::new(Cell::new(0));
    for _ in 0..tasks {
        let (server, done) = (server.clone(), done.clone());
        caller.spawn(async move {
            let value = "x".repeat(bytes);
            for _ in 0..CALLS {
                let reply = server.get(&value).await.expect("an answer");
                assert!(reply == value);
            }
            done.set(done.get() + 1);
        });
    }
    while done.get() < tasks {
        caller.sleep(std::time::Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Allocations of an executor while each task makes its calls. Ours makes none; glommio makes about ten for each wait.
fn executor_allocations() -> u64 {
    match Runtime::from_environment() {
        Ok(Runtime::Glommio) => 16 * CALLS,
        _ => 0,
    }
}

/// A node with `@server`, and one that calls it as `db`; each has one shard.
fn start<S: Service>(server: impl FnOnce() -> S + Send + 'static) -> (Node, Node) {
    let start = || {
        let log = Destination::File("/dev/null".into());
        Node::builder().log_to(log).start().expect("a node starts")
    };
    let (db, game) = (start(), start());
    let opened = db.block_on(|caller: Caller| async move {
        let server = caller.launch(|_| server()).await?;
        caller.cluster().register("server", Some(server))?;
        caller.cluster().open(0, None).await
    });
    let port = opened.expect("the node runs").expect("a free port").port();
    let map = ClusterMap::new().with("db", &format!("127.0.0.1:{port}"));
    let map = map.expect("a valid entry");
    let reloaded = game.block_on(|caller: Caller| async move { caller.cluster().reload(map) });
    reloaded.expect("the node runs");
    (db, game)
}

#[test]
fn a_steady_call_of_up_to_256_bytes_allocates_at_most_once_at_each_end() {
    let (_db, game) = start(|| Server);
    let counted = game.block_on(move |caller: Caller| async move {
        let mut counted = Vec::new();
        for (tasks, bytes) in [(1, 16), (1, 200), (64, 0), (64, 64), (64, 200), (64, 240)] {
            // Buffers that are kept for the next call are allocated here.
            work(&caller, tasks, bytes).await?;
            let there = caller.node("db").call("@server", &()).await?.unpack::<u64>()?;
            let here = allocations();
            work(&caller, tasks, bytes).await?;
            let here = allocations() - here;
            let there = caller.node("db").call("@server", &()).await?.unpack::<u64>()? - there;
            counted.push((tasks, bytes, here, there));
        }
        Ok::<_, Error>(counted)
    });
    for (tasks, bytes, here, there) in counted.expect("the node runs").expect("every call is answered") {
        let calls = tasks * CALLS;
        // Beside the calls: the tasks themselves, sleeps while they work, a read buffer now and then.
        let beside = 12 * tasks + 200 + executor_allocations();
        println!("{tasks} in flight, {bytes} bytes: {here} and {there} allocations for {calls} calls");
        assert!(
            here <= calls + beside,
            "{tasks} in flight, {bytes} bytes: {here} for {calls} calls"
        );
        assert!(
            there <= calls + beside,
            "{tasks} in flight, {bytes} bytes: {there} for {calls} calls"
        );
    }
}

#[test]
fn a_typed_service_and_its_client_allocate_no_more_than_those_written_by_hand() {
    let (_db, game) = start(|| TypedServer);
    let counted = game.block_on(move |caller: Caller| async move {
        let server = TypedServerClient::at(caller.node("db"), "@server");
        let mut counted = Vec::new();
        for (tasks, bytes) in [(1, 16), (64, 0), (64, 200)] {
            // Buffers that are kept for the next call are allocated here.
            work_typed(&caller, tasks, bytes).await?;
            let there = server.allocations().await?;
            let here = allocations();
            work_typed(&caller, tasks, bytes).await?;
            let here = allocations() - here;
            counted.push((tasks, bytes, here, server.allocations().await? - there));
        }
        Ok::<_, Error>(counted)
    });
    for (tasks, bytes, here, there) in counted.expect("the node runs").expect("every call is answered") {
        let calls = tasks * CALLS;
        let beside = 12 * tasks + 200 + executor_allocations();
        // The caller gets a text of its own, which one that is written by hand borrows from the reply.
        let texts = if bytes == 0 { 0 } else { calls };
        println!("{tasks} in flight, {bytes} bytes: {here} and {there} allocations for {calls} calls");
        assert!(
            here <= calls + texts + beside,
            "{tasks} in flight, {bytes} bytes: {here} for {calls} calls"
        );
        assert!(
            there <= calls + beside,
            "{tasks} in flight, {bytes} bytes: {there} for {calls} calls"
        );
    }
}

/// Keeps short payloads and answers with them; drops long ones.
#[derive(Default)]
struct Keeper(Vec<Payload>);

impl Service for Keeper {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        if message.payload.0.len() < 2 * KIB {
            self.0.push(message.payload.clone());
        }
        Answer::payload(message.payload)
    }
}

const KIB: usize = 1 << 10;

#[test]
fn a_payload_of_1_kib_that_is_kept_does_not_keep_what_it_was_read_with() {
    /// Payloads that are kept at each end.
    const KEPT: usize = 300;
    /// What lies between two of them, in messages that each fit a read buffer several times.
    const BETWEEN: usize = 16;
    let (_db, game) = start(Keeper::default);
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let kept = game.block_on(|caller: Caller| async move {
        let node = caller.node("db");
        let small = Payload(bytes::Bytes::from(vec![1; KIB]));
        let long = Payload(bytes::Bytes::from(vec![2; 60 * KIB]));
        let mut kept = Vec::new();
        for _ in 0..KEPT {
            // All of it is in flight at once, so that the kept payloads are in the middle of long reads.
            let done = std::rc::Rc::new(Cell::new(0));
            for _ in 0..BETWEEN {
                let (call, done) = (node.call_payload("@server", Ok(long.clone())), done.clone());
                caller.spawn(async move {
                    call.await.expect("an answer");
                    done.set(done.get() + 1);
                });
            }
            kept.push(node.call_payload("@server", Ok(small.clone())).await?);
            while done.get() < BETWEEN {
                caller.sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        Ok::<_, Error>(kept)
    });
    let kept = kept.expect("the node runs").expect("every call is answered");
    assert!(kept.iter().all(|payload| payload.0[..] == [1; KIB]));
    let grown = LIVE_BYTES.load(Ordering::Relaxed).saturating_sub(before);
    println!("{grown} bytes for {KEPT} payloads of 1 KiB at each end");
    // A read buffer for each would be 150 MiB.
    assert!(grown < 24 << 20, "{grown} bytes");
}
