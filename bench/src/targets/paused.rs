//! A peer that is stopped in the middle of things, beside one that is well: calls to the second must not notice.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, ClusterMap, Node, Payload};

use super::load::MEBIBYTE;
use super::{Course, Finding, Target, Wanted, median, server_error};
use crate::load::{Load, LoadResult, Pace};
use crate::memory::resident_bytes;
use crate::pair::PairError;
use crate::report::duration;
use crate::scratch::Scratch;
use crate::server::{NodePlan, Server};
use crate::watch::Watch;

/// The two nodes.
const HEALTHY: &str = "healthy";
const PAUSED: &str = "paused";

/// What the healthy one is called with.
const IN_FLIGHT: usize = 256;
const SIZE: usize = 64;

/// Calls that are stuck at the paused one, and the size of their values: more than the sockets hold.
const STUCK: usize = 256;
const STUCK_SIZE: usize = 64 << 10;

/// How much more memory the calling process may need for them.
const MEMORY_BYTES_MAX: f64 = (64u64 << 20) as f64;

/// Time between two looks.
const POLL: Duration = Duration::from_millis(50);

/// How long a node may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the first call to each may take.
const FIRST_CALL_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) fn measure(
    course: &Course<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Finding>, PairError> {
    let (mut before, mut after, mut grown) = (Vec::new(), Vec::new(), 0f64);
    for run in 1..=course.runs {
        progress(&format!("run {run}"));
        let (alone, beside, bytes) = once(course)?;
        before.push(alone.latency_us.p99);
        after.push(beside.latency_us.p99);
        grown = grown.max(bytes);
    }
    let (before, after) = (median(before), median(after));
    let shown = |bytes: f64| format!("{:.1} MiB", bytes / MEBIBYTE);
    Ok(vec![
        Finding::new(
            Target::PausedPeer,
            "p99 of 256 in flight beside a paused peer, beside that without",
            (duration(after), duration(before)),
            after / before,
            Wanted::AtMost(1.2),
        ),
        Finding::new(
            Target::PausedPeer,
            "the caller's additional memory, beside 64 MiB",
            (shown(grown), shown(MEMORY_BYTES_MAX)),
            grown / MEMORY_BYTES_MAX,
            Wanted::AtMost(1.0),
        ),
    ])
}

/// The healthy node alone, then with calls stuck at the other one; and how many bytes the caller grew by.
fn once(course: &Course<'_>) -> Result<(LoadResult, LoadResult, f64), PairError> {
    let scratch = Scratch::new("paused")?;
    let mut watch = Watch::new(course.interrupt.clone(), |_| {});
    let mut start = |name| {
        let plan = NodePlan {
            name,
            threads: 1,
            spin_us: 0,
            service: ("echo", "echo"),
        };
        Server::start(&mut watch, course.node, scratch.path(), &plan).map_err(server_error)
    };
    let (mut healthy, mut paused) = (start(HEALTHY)?, start(PAUSED)?);
    let map = ClusterMap::new()
        .with(HEALTHY, &healthy.address().to_string())?
        .with(PAUSED, &paused.address().to_string())?;
    let node = Node::builder()
        .first_cpu(1)
        .map(map)
        .log_to(Destination::File(scratch.path().join("client.log")))
        .start()?;
    // Both are met, so that the paused one has a connection whose buffers can fill.
    for name in [HEALTHY, PAUSED] {
        let met = node.block_on(move |caller| async move {
            let call = caller.node(name).call("@echo", &"");
            call.timeout(FIRST_CALL_TIME_MAX).await
        })?;
        met.map_err(|error| PairError::FirstCall {
            called: format!("{name} @echo"),
            error,
        })?;
    }
    let load = |name: &str, size: usize, in_flight| -> Result<Load, PairError> {
        Ok(Load {
            node: name.to_owned(),
            address: Address::from("@echo"),
            payload: Payload::pack(&"x".repeat(size))?,
            size,
            pace: Pace::Closed,
            in_flight,
            keys: 0,
            warm_up: course.duration / 4,
            duration: course.duration,
            server_process: None,
        })
    };
    let alone = wait(load(HEALTHY, SIZE, IN_FLIGHT)?, &node, course, || {})?;
    let memory = || resident_bytes(std::process::id()).unwrap_or(0) as f64;
    let (memory_before, mut memory_most) = (memory(), 0f64);
    paused.process().pause()?;
    // Nobody waits for these: they end with the node.
    let _stuck = load(PAUSED, STUCK_SIZE, STUCK)?.start(&node)?;
    let beside = wait(load(HEALTHY, SIZE, IN_FLIGHT)?, &node, course, || {
        memory_most = memory_most.max(memory());
    })?;
    node.stop();
    paused.process().kill()?;
    healthy.process().end(STOP_TIME_MAX)?;
    Ok((alone, beside, memory_most - memory_before))
}

fn wait(
    load: Load,
    node: &Node,
    course: &Course<'_>,
    mut look: impl FnMut(),
) -> Result<LoadResult, PairError> {
    let mut running = load.start(node)?;
    loop {
        if let Some(result) = running.wait(POLL)? {
            return Ok(result);
        }
        look();
        if course.interrupt.requested() {
            return Err(PairError::Interrupted);
        }
    }
}
