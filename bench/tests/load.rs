//! A load counts what it did: every answer, every error by its code, from every shard.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, ClusterMap, Node, NodeBuilder, Payload};
use skyring_bench::{Load, LoadError, LoadResult, Pace};
use skyring_services::Echo;

/// Time that is measured; long enough that every caller is answered many times on a busy machine.
const DURATION: Duration = Duration::from_millis(300);

/// Looks at a load before it is taken to hang, of a tenth of a second each.
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
        pace: Pace::Closed,
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

#[test]
fn a_load_without_callers_is_refused() {
    let client = quiet().start().expect("a node");
    let refused = load("@echo", 0).start(&client).err();
    assert!(matches!(refused, Some(LoadError::InFlight(0))), "{refused:?}");
}
