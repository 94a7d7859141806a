//! One shard's share of a load: the warm-up, the measured time, and the drain.

use std::rc::Rc;
use std::time::Duration;

use quanta::Instant;
use skyring::Caller;

use super::callee::Callee;
use super::result::ShardResult;
use super::settings::{LoadModel, Schedule};
use super::shard_load::{ERROR_PAUSE, ShardLoad};
use super::{closed_loop, open_loop};
use crate::cpu::CpuSeconds;

/// How long the calls that are in flight at the end may take until they are abandoned.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// Runs one shard's share of a load.
pub(super) async fn run_shard<C: Callee>(
    caller: Caller,
    shard_load: Rc<ShardLoad<C>>,
    schedule: Schedule,
) -> ShardResult {
    let (shard, shards) = (caller.shard_index(), caller.shards());
    let in_flight = schedule.in_flight / shards + usize::from(shard < schedule.in_flight % shards);
    let timetable = match schedule.model {
        LoadModel::Closed => {
            closed_loop::start(&caller, &shard_load, in_flight);
            None
        }
        LoadModel::Open(rate) => {
            let share = (rate, in_flight);
            Some(open_loop::start(&caller, &shard_load, share, &schedule))
        }
    };

    caller.sleep(schedule.warm_up).await;
    if timetable.is_none() {
        shard_load.reset();
    }
    let (calls_before, cpu_before) = (shard_load.calls(), CpuSeconds::now(schedule.server_process));
    let started = Instant::now();

    caller.sleep(schedule.duration).await;
    let seconds = started.elapsed().as_secs_f64();
    let calls = shard_load.calls() - calls_before;
    let cpu_seconds = CpuSeconds::now(schedule.server_process).since(cpu_before);
    let counted = timetable.is_none().then(|| shard_load.counted());

    // The replies to abandoned calls would be discarded; let the calls end.
    shard_load.end();
    let ending = Instant::now();
    while !shard_load.is_done() && ending.elapsed() < DRAIN_TIME_MAX {
        caller.sleep(ERROR_PAUSE).await;
    }
    let (backlog_max, unanswered) = timetable.map_or((0, 0), |timetable| timetable.close());
    shard_load.callee().finished();
    // A timetable has its own rule which calls count, and those may be answered late.
    let (latencies, errors) = counted.unwrap_or_else(|| shard_load.counted());
    ShardResult {
        calls,
        latencies,
        errors,
        backlog_max,
        unanswered,
        seconds,
        cpu_seconds,
    }
}
