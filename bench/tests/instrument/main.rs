//! The instrument itself is tested: a server with known delays, stalls of known length and known losses, and what the rig
//! reports of them.
//!
//! The stated errors. A latency is never reported too short by more than [`TOO_SHORT_MAX`], the precision of the
//! histogram. It is reported too long by what the machine adds between the server's clock and the caller's: these tests
//! allow [`TOO_LONG_MAX`], because they run beside others on a busy machine, and use delays against which that is little.
//! Counts of calls, of losses and of calls without an answer are exact.

mod known_server;

use std::cell::Cell;
use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, Answer, ClusterMap, Context, Message, Node, NodeBuilder, Payload, Service};
use skyring_bench::{Load, LoadModel, LoadResult, RunningLoad, Target, TargetLoad};

use known_server::{KnownServer, Plan, Truth};

/// By what part a latency may be reported too short.
const TOO_SHORT_MAX: f64 = 0.001;

/// How much too long a percentile may be reported.
const TOO_LONG_MAX: Duration = Duration::from_millis(60);

/// Longest wait for a result.
const TIME_MAX: Duration = Duration::from_secs(60);

fn quiet() -> NodeBuilder {
    Node::builder().log_to(Destination::File("/dev/null".into()))
}

fn result(mut running: RunningLoad) -> LoadResult {
    let result = running.wait(TIME_MAX).expect("the client runs");
    result.expect("the load ends")
}

/// Answers each call after a delay that follows from its number: six of ten calls after 10 ms, and so on.
struct Delays {
    call: Cell<u64>,
}

/// The delays in ms, and how many of a thousand calls have each.
const DELAYS: [(u64, u64); 4] = [(10, 600), (60, 350), (200, 45), (600, 5)];

impl Service for Delays {
    fn handle(&mut self, context: &Context<Self>, _message: Message) -> Answer {
        let call = self.call.replace(self.call.get() + 1);
        // Spread evenly: 7 and 1,000 have no common divisor.
        let mut place = call * 7 % 1_000;
        let mut delay = 0;
        for (milliseconds, share) in DELAYS {
            delay = milliseconds;
            if place < share {
                break;
            }
            place -= share;
        }
        let context = context.clone();
        Answer::later(async move {
            context.sleep(Duration::from_millis(delay)).await;
            Ok(Payload::default())
        })
    }
}

/// Takes every call, and never answers one in [`ANSWERS_LOST`].
struct Loses {
    call: Cell<u64>,
}

const ANSWERS_LOST: u64 = 50;

impl Service for Loses {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        let call = self.call.replace(self.call.get() + 1);
        if call.is_multiple_of(ANSWERS_LOST) {
            return Answer::later(std::future::pending());
        }
        Answer::payload(message.payload)
    }
}

/// A node with both services, and the map that names it.
fn services() -> (Node, ClusterMap) {
    let node = quiet().start().expect("a node");
    let address = node.block_on(|caller| async move {
        let delays = caller.launch(|_| Delays { call: Cell::new(0) }).await?;
        let loses = caller.launch(|_| Loses { call: Cell::new(0) }).await?;
        caller.cluster().register("delays", Some(delays))?;
        caller.cluster().register("loses", Some(loses))?;
        caller.cluster().open(0u16, None).await
    });
    let port = address.expect("the node runs").expect("it listens").port();
    let map = ClusterMap::new().with("server", &format!("127.0.0.1:{port}"));
    (node, map.expect("a valid address"))
}

fn load(service: &str, model: LoadModel, in_flight: usize, duration: Duration) -> Load {
    Load {
        node: "server".to_owned(),
        address: Address::from(service),
        payload: Payload::pack("value").expect("a string can be packed"),
        size: 5,
        model,
        in_flight,
        keys: 0,
        warm_up: Duration::ZERO,
        duration,
        server_process: None,
    }
}

/// The quantile of all latencies of a result.
fn quantile(result: &LoadResult, part: f64) -> Duration {
    Duration::from_nanos(result.latencies.value_at_quantile(part))
}

#[track_caller]
fn assert_within_error(name: &str, found: Duration, truth: Duration) {
    let too_short = truth.mul_f64(1.0 - TOO_SHORT_MAX);
    assert!(
        found >= too_short,
        "{name}: {found:?} is reported, the truth is {truth:?}"
    );
    assert!(
        found <= truth + TOO_LONG_MAX,
        "{name}: {found:?} is reported, the truth is {truth:?}"
    );
}

#[test]
fn a_known_distribution_of_delays_is_reported() {
    let (_server, map) = services();
    // Both loops: without stalls they agree.
    for model in [LoadModel::Open(1_000.0), LoadModel::Closed] {
        let client = quiet().map(map.clone()).start().expect("a node");
        let load = load("@delays", model, 256, Duration::from_secs(3));
        let result = result(load.start(&client).expect("the load starts"));
        assert!(result.errors.is_empty() && result.unanswered == 0, "{result:?}");
        for (part, milliseconds) in [(0.5, 10), (0.9, 60), (0.99, 200), (0.999, 600)] {
            let truth = Duration::from_millis(milliseconds);
            assert_within_error(&format!("{model:?} {part}"), quantile(&result, part), truth);
        }
    }
}

#[test]
fn calls_that_a_server_loses_are_counted_exactly() {
    let (_server, map) = services();
    let client = quiet().map(map).start().expect("a node");
    let load = load("@loses", LoadModel::Open(1_000.0), 512, Duration::from_secs(1));
    let result = result(load.start(&client).expect("the load starts"));
    // Every call of the timetable is in the histogram: those without an answer with the time that they waited.
    assert_eq!(result.latencies.len(), 1_000);
    assert_eq!(result.unanswered, 1_000 / ANSWERS_LOST);
    assert!(result.errors.is_empty(), "{:?}", result.errors);
    let waited = result.latencies.count_between(2_900_000_000, u64::MAX);
    assert_eq!(waited, 1_000 / ANSWERS_LOST, "the drain is 3 s long");
}

/// A load on a server whose answers have been recorded by itself.
fn target_load(server: &KnownServer, model: LoadModel, in_flight: usize, duration: Duration) -> TargetLoad {
    let url = format!("tcp-echo://{}", server.address());
    let url = url.parse().expect("a target");
    TargetLoad {
        target: Target::new(url, known_server::SIZE, &[]).expect("a target"),
        connections: 1,
        model,
        in_flight,
        warm_up: Duration::ZERO,
        duration,
    }
}

fn truth_and_result(
    plan: Plan,
    model: LoadModel,
    in_flight: usize,
    duration: Duration,
) -> (Truth, LoadResult) {
    let server = KnownServer::start(plan);
    let client = quiet().start().expect("a node");
    let load = target_load(&server, model, in_flight, duration);
    let result = result(load.start(&client).expect("the load starts"));
    drop(client);
    (server.truth(), result)
}

#[test]
fn an_open_loop_reports_a_stall_as_its_users_see_it() {
    const RATE: f64 = 1_000.0;
    let stall = Duration::from_millis(600);
    let plan = Plan {
        stalls: vec![
            (Duration::from_millis(500), stall),
            (Duration::from_millis(1_500), stall),
        ],
        ..Plan::default()
    };
    // Fewer in flight than become due in a stall: the others wait here, and count all the same.
    let (truth, result) = truth_and_result(plan, LoadModel::Open(RATE), 64, Duration::from_secs(3));
    assert!(result.errors.is_empty() && result.unanswered == 0, "{result:?}");
    assert_eq!(result.latencies.len(), 3_000, "every call that was due counts");
    assert_eq!(truth.answers(), 3_000);
    // The server's own clock says when each call was answered, and the timetable says when it was due.
    let expected = truth.latencies_since_due(RATE);
    for part in [0.5, 0.7, 0.8, 0.9, 0.99] {
        let truth = expected[(part * expected.len() as f64) as usize - 1];
        assert_within_error(&format!("quantile {part}"), quantile(&result, part), truth);
    }
    // 1.2 of 3 s were spent in a stall, and a call that was due in it waited 300 ms on average.
    assert!(quantile(&result, 0.8) >= stall / 6, "{result:?}");
    assert!(result.backlog_max >= 400, "{}", result.backlog_max);
}

#[test]
fn a_closed_loop_leaves_out_what_a_stall_delays() {
    let stall = Duration::from_millis(600);
    let plan = Plan {
        stalls: vec![
            (Duration::from_millis(500), stall),
            (Duration::from_millis(1_500), stall),
        ],
        delay: Duration::from_millis(1),
        ..Plan::default()
    };
    let (truth, result) = truth_and_result(plan, LoadModel::Closed, 1, Duration::from_secs(3));
    // The two calls that were in flight, although two fifths of the time no call would have been answered.
    assert_eq!(
        result.latencies.count_between(500_000_000, u64::MAX),
        2,
        "{result:?}"
    );
    assert!(quantile(&result, 0.9) < stall / 2, "{:?}", result.latency_us);
    // What was answered is what was counted, but for the call in flight at the end.
    assert!(
        (result.calls..=result.calls + 1).contains(&truth.answers()),
        "{} {result:?}",
        truth.answers()
    );
}

#[test]
fn calls_on_a_connection_that_is_cut_are_counted_exactly() {
    const IN_FLIGHT: usize = 8;
    let plan = Plan {
        cuts: 3,
        cut_after: 40,
        cut_with_in_flight: IN_FLIGHT,
        ..Plan::default()
    };
    let (truth, result) = truth_and_result(plan, LoadModel::Closed, IN_FLIGHT, Duration::from_secs(2));
    assert_eq!(truth.cuts(), 3);
    assert_eq!(
        result.errors.into_iter().collect::<Vec<_>>(),
        [("connection-lost", 3 * IN_FLIGHT as u64)]
    );
    assert!(result.calls > 3 * 40, "{}", result.calls);
}
