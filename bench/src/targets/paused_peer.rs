//! Calls to a healthy node beside a paused one, which must not slow them down.

use std::time::Duration;

use skyring::log::Destination;
use skyring::{Address, ClusterMap, Node, Payload, Runtime};

use super::context::Context;
use super::pair_load::MEBIBYTE;
use super::result::{TargetResult, Wanted};
use super::target::Target;
use crate::format::duration;
use crate::load::{Load, LoadModel, LoadResult};
use crate::median::median;
use crate::memory::resident_bytes;
use crate::node_process::{NodePlan, NodeProcess};
use crate::pair::PairError;
use crate::supervisor::Supervisor;
use crate::temp_dir::TempDir;

/// The two nodes.
const HEALTHY: &str = "healthy";
const PAUSED: &str = "paused";

/// The load of the healthy node.
const IN_FLIGHT: usize = 256;
const SIZE: usize = 64;

/// Calls that are stuck at the paused node, and the size of their values: more than the sockets hold.
const STUCK: usize = 256;
const STUCK_SIZE: usize = 64 << 10;

/// How much more memory the calling process may need for them.
const MEMORY_BYTES_MAX: f64 = (64u64 << 20) as f64;

/// How long a node may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the first call to each may take.
const FIRST_CALL_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) fn measure(
    context: &Context<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TargetResult>, PairError> {
    let (mut before, mut after, mut grown) = (Vec::new(), Vec::new(), 0f64);
    for run in 1..=context.runs {
        progress(&format!("run {run}"));
        let (alone, beside, bytes) = measure_once(context)?;
        before.push(alone.latency_us.p99);
        after.push(beside.latency_us.p99);
        grown = grown.max(bytes);
    }
    let (before, after) = (median(before), median(after));
    let shown = |bytes: f64| format!("{:.1} MiB", bytes / MEBIBYTE);
    Ok(vec![
        TargetResult::new(
            Target::PausedPeer,
            "p99 of 256 in flight beside a paused peer, beside that without",
            (duration(after), duration(before)),
            after / before,
            Wanted::AtMost(1.2),
        ),
        TargetResult::new(
            Target::PausedPeer,
            "the caller's additional memory, beside 64 MiB",
            (shown(grown), shown(MEMORY_BYTES_MAX)),
            grown / MEMORY_BYTES_MAX,
            Wanted::AtMost(1.0),
        ),
    ])
}

/// The load of the healthy node alone, then with calls stuck at the paused one, and the bytes by which the caller grew.
fn measure_once(context: &Context<'_>) -> Result<(LoadResult, LoadResult, f64), PairError> {
    let temp_dir = TempDir::new("paused")?;
    let mut supervisor = Supervisor::new(context.interrupt.clone(), |_| {});
    let mut start = |name| {
        let plan = NodePlan {
            name,
            threads: 1,
            spin_us: 0,
            runtime: Runtime::Uring,
            service: ("echo", "echo"),
        };
        NodeProcess::start(&mut supervisor, context.node, temp_dir.path(), &plan)
    };
    let (mut healthy, mut paused) = (start(HEALTHY)?, start(PAUSED)?);
    let map = ClusterMap::new()
        .with(HEALTHY, &healthy.address().to_string())?
        .with(PAUSED, &paused.address().to_string())?;
    let node = Node::builder()
        .first_cpu(1)
        .map(map)
        .log_to(Destination::File(temp_dir.path().join("client.log")))
        .start()?;
    // Both are called once, so that the paused one has a connection whose buffers can fill.
    for name in [HEALTHY, PAUSED] {
        let answer = node.block_on(move |caller| async move {
            let call = caller.node(name).call("@echo", &"");
            call.timeout(FIRST_CALL_TIME_MAX).await
        })?;
        answer.map_err(|error| PairError::FirstCall {
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
            model: LoadModel::Closed,
            in_flight,
            keys: 0,
            warm_up: context.duration / 4,
            duration: context.duration,
            server_process: None,
        })
    };
    let alone = run(load(HEALTHY, SIZE, IN_FLIGHT)?, &node, context, || {})?;
    let memory = || resident_bytes(std::process::id()).unwrap_or(0) as f64;
    let (memory_before, mut memory_most) = (memory(), 0f64);
    paused.process().pause()?;
    // Their results are not used: the calls end with the node.
    let _stuck = load(PAUSED, STUCK_SIZE, STUCK)?.start(&node)?;
    let beside = run(load(HEALTHY, SIZE, IN_FLIGHT)?, &node, context, || {
        memory_most = memory_most.max(memory());
    })?;
    node.stop();
    paused.process().kill()?;
    healthy.process().end(STOP_TIME_MAX)?;
    Ok((alone, beside, memory_most - memory_before))
}

/// Runs a load to its end.
fn run(
    load: Load,
    node: &Node,
    context: &Context<'_>,
    mut observe: impl FnMut(),
) -> Result<LoadResult, PairError> {
    let mut running = load.start(node)?;
    running
        .wait_or_interrupt(context.interrupt, |_| observe())?
        .ok_or(PairError::Interrupted)
}
