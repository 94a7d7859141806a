//! A load counts what it did: every answer, every error by its code, from every shard.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, Answer, ClusterMap, Context, Message, Node, NodeBuilder, Payload, Service};
use skyring_bench::{Load, LoadError, LoadModel, LoadResult};
use skyring_services::Echo;

/// Time that is measured; long enough that every caller is answered many times on a busy machine.
const DURATION: Duration = Duration::from_millis(300);

/// Waits for a load, a tenth of a second each, until the test fails.
const LOOKS_MAX: u32 = 300;

fn quiet() -> NodeBuilder {
    Node::builder().log_to(Destination::File("/dev/null".into()))
}

/// A node with an echo service, and the map that names it.
fn server() -> (Node, ClusterMap) {
    let node = quiet().start().expect("a node");
    let address = node.block_on(|caller| async move {
        let echo = caller.launch(|_| Echo).await?;
        caller.cluster().register("echo", Some(echo))?;
        caller.cluster().open(0u16, None).await
    });
    let port = address.expect("the node runs").expect("it listens").port();
    let map = ClusterMap::new().with("server", &format!("127.0.0.1:{port}"));
    (node, map.expect("a valid address"))
}

fn load(address: &str, in_flight: usize) -> Load {
    Load {
        node: "server".to_owned(),
        address: Address::from(address),
        payload: Payload::pack("value").expect("a string can be packed"),
        size: 5,
        model: LoadModel::Closed,
        in_flight,
        keys: 0,
        warm_up: Duration::from_millis(50),
        duration: DURATION,
        server_process: Some(std::process::id()),
    }
}

fn result(client: &Node, load: Load) -> LoadResult {
    let mut running = load.start(client).expect("the load starts");
    for _ in 0..LOOKS_MAX {
        if let Some(result) = running.wait(Duration::from_millis(100)).expect("the client runs") {
            assert!(running.calls() >= result.calls, "the live count is behind");
            return result;
        }
    }
    panic!("the load did not end");
}

#[test]
fn every_answer_is_counted_with_its_latency() {
    let (_server, map) = server();
    let client = quiet().map(map).start().expect("a node");
    let result = result(&client, load("@echo", 16));
    assert!(result.calls > 0 && result.errors.is_empty(), "{result:?}");
    assert!(result.seconds >= DURATION.as_secs_f64(), "{result:?}");
    let rate = result.calls as f64 / result.seconds;
    assert!(
        (result.calls_per_second - rate).abs() <= rate / 1_000.0,
        "{result:?}"
    );
    let latency = result.latency_us;
    assert!(
        latency.p50 > 0.0 && latency.p50 <= latency.p99 && latency.p99 <= latency.p999,
        "{result:?}"
    );
    // 16 callers that do nothing but wait for their calls: what half of the calls took at least fits into
    // their time, and the time of the calls that had begun before.
    let waited = result.calls as f64 / 2.0 * latency.p50 * 0.99;
    assert!(
        waited <= 16.0 * (result.seconds * 1e6 + latency.max),
        "{result:?}"
    );
    assert!(result.cpu_seconds.server.is_some(), "{result:?}");
}

#[test]
fn callers_are_on_every_shard_of_the_calling_node() {
    let (_server, map) = server();
    let client = quiet().threads(3).map(map).start().expect("a node");
    // Fewer callers than shards would do: each shard takes its share, if only none.
    for in_flight in [1, 7] {
        let result = result(&client, load("@echo", in_flight));
        assert!(result.calls > 0 && result.errors.is_empty(), "{result:?}");
        assert_eq!(result.in_flight, in_flight);
    }
}

#[test]
fn failed_calls_are_counted_by_the_code_of_their_error() {
    let (_server, map) = server();
    let client = quiet().map(map).start().expect("a node");
    let result = result(&client, load("@nobody", 4));
    assert_eq!(result.calls, 0);
    let codes: Vec<&str> = result.errors.keys().copied().collect();
    assert_eq!(codes, ["no-such-service"]);
    assert!(result.errors_total() >= 4, "{result:?}");
}

/// Takes calls and never answers them.
struct Silent;

impl Service for Silent {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::later(std::future::pending())
    }
}

/// A load by a timetable of that many calls a second.
fn timetable(calls_per_second: f64, in_flight: usize) -> Load {
    Load {
        model: LoadModel::Open(calls_per_second),
        ..load("@echo", in_flight)
    }
}

#[test]
fn a_timetable_makes_the_calls_that_it_names_and_no_others() {
    let (_server, map) = server();
    for threads in [1, 2] {
        let client = quiet().threads(threads).map(map.clone()).start().expect("a node");
        let result = result(&client, timetable(1_000.0, 4_096));
        // What is counted are the calls that were due while it was measured, however late they were answered.
        let due = DURATION.as_secs_f64() * 1_000.0;
        let counted = result.latencies.len() as f64;
        assert!((counted - due).abs() <= threads as f64, "{counted} of {due}");
        assert!(result.errors.is_empty() && result.unanswered == 0, "{result:?}");
        assert!(!result.rates.is_empty());
    }
}

#[test]
fn a_server_that_stalls_is_seen_by_every_call_that_was_due_in_the_meantime() {
    const STALL: Duration = Duration::from_millis(200);
    let (server, map) = server();
    let client = quiet().map(map).start().expect("a node");
    // Fewer in flight than become due while the server stalls: the others wait to begin.
    let running = timetable(2_000.0, 32).start(&client).expect("the load starts");
    std::thread::sleep(Duration::from_millis(100));
    let stalled = server.run(|_| async { std::thread::sleep(STALL) });
    let mut running = running;
    let result = loop {
        if let Some(result) = running.wait(Duration::from_secs(20)).expect("the client runs") {
            break result;
        }
    };
    stalled.expect("the server runs");
    // Of 300 ms at least 150 were spent in the stall, so half of the calls waited, evenly up to all of it. A
    // loop that leaves them out would have seen 32 slow calls among 600, and a low p90.
    assert!(result.latency_us.p90 >= 50_000.0, "{:?}", result.latency_us);
    assert!(result.backlog_max >= 100, "{}", result.backlog_max);
    assert_eq!(result.unanswered, 0);
}

#[test]
fn calls_that_are_never_answered_count_with_the_time_that_they_waited() {
    let (server, map) = server();
    let registered = server.block_on(|caller| async move {
        let silent = caller.launch(|_| Silent).await?;
        caller.cluster().register("silent", Some(silent))
    });
    registered.expect("the node runs").expect("it is registered");
    let client = quiet().map(map).start().expect("a node");
    let unheard = Load {
        address: Address::from("@silent"),
        ..timetable(1_000.0, 8)
    };
    let result = result(&client, unheard);
    assert_eq!(result.calls, 0);
    assert_eq!(result.unanswered, result.latencies.len());
    assert!(result.unanswered >= 290, "{}", result.unanswered);
    // They were abandoned after 3 s.
    assert!(result.latency_us.p50 >= 3e6, "{:?}", result.latency_us);
}

#[test]
fn a_timetable_needs_a_rate_that_can_be() {
    let client = quiet().start().expect("a node");
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = timetable(rate, 1).start(&client).err();
        assert!(matches!(refused, Some(LoadError::Rate(_))), "{refused:?}");
    }
}

#[test]
fn keyed_calls_are_answered_over_every_channel() {
    let (_server, map) = server();
    let client = quiet().channels(3).threads(2).map(map).start().expect("a node");
    let keyed = Load {
        keys: 30,
        ..load("@echo", 30)
    };
    let result = result(&client, keyed);
    assert!(result.calls > 0 && result.errors.is_empty(), "{result:?}");
}

#[test]
fn a_load_without_callers_is_refused() {
    let client = quiet().start().expect("a node");
    let refused = load("@echo", 0).start(&client).err();
    assert!(matches!(refused, Some(LoadError::InFlight(0))), "{refused:?}");
}
