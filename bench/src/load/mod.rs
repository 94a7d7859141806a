//! A load: calls that a node makes for a while, and what they took.
//!
//! In a *closed loop* each caller begins its next call when its last one is answered, so a slow server is
//! asked less. In an *open loop* calls begin when a timetable says so, whatever became of those before, and a
//! call's time counts from then: what a server that stalls keeps waiting is in the percentiles.
//!
//! Its own cost is small: one look at the clock and one count in a histogram a call, no lock and no atomic
//! but a plain store for the live rate. Every shard of the node has its share of the calls and a histogram
//! of its own; they are merged at the end.

mod closed;
mod open;
mod rates;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Instant;
use serde::{Deserialize, Serialize};
use skyring::{Address, Caller, Error, Node, Payload};
use thiserror::Error as ThisError;

pub use self::rates::{RATES_MAX, Rate};

use self::rates::Rates;
use self::work::Work;
use crate::cpu::cpu_seconds;
use crate::report::{self, Latency};

/// Most calls in flight of one load.
const IN_FLIGHT_MAX: usize = 1 << 20;

/// Most calls a second that an open loop is asked for.
pub const CALLS_PER_SECOND_MAX: f64 = 1e9;

/// A caller whose call failed pauses this long, so that errors at once do not become a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// How long the calls that are in flight at the end may take until they are given up.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// Time between two looks at how many calls were answered.
const LOOK_TIME: Duration = Duration::from_millis(50);

/// How long a guest may take to get to its shard.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(5);

/// Guests sent out for each shard before one of them is taken to be out of reach. A guest's shard follows
/// from its handle, evenly, so each misses a given shard of n with a chance of 1 - 1/n.
const GUESTS_PER_SHARD_MAX: usize = 64;

/// Why there is no result.
#[derive(Debug, ThisError)]
pub enum LoadError {
    /// There must be a call in flight, and not more than the limit.
    #[error("in flight: 1 to {IN_FLIGHT_MAX} calls, not {0}")]
    InFlight(usize),
    /// An open loop must make calls.
    #[error("an open loop makes more than 0 and at most {CALLS_PER_SECOND_MAX} calls a second, not {0}")]
    Rate(f64),
    /// The node took no caller, or stopped.
    #[error("the load cannot run: {0}")]
    Node(#[from] Error),
    /// A shard of the node was not reached.
    #[error("only {reached} of the {shards} shards of the calling node could be reached")]
    Shards {
        /// How many have callers.
        reached: usize,
        /// How many the node has.
        shards: usize,
    },
}

/// When calls begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As soon as the last one of the same caller is answered.
    Closed,
    /// By a timetable with even distances, so many a second over all shards. More than the load's `in_flight`
    /// are never under way: further ones wait, and their time counts from when they should have begun.
    Open(f64),
}

/// What is to be called, how, and for how long.
#[derive(Debug, Clone)]
pub struct Load {
    /// The node, by its name in the map.
    pub node: String,
    /// The service there.
    pub address: Address,
    /// What every call carries.
    pub payload: Payload,
    /// The size of the value that is measured with, in bytes; only for the result.
    pub size: usize,
    /// When calls begin.
    pub pace: Pace,
    /// How many calls are in flight, or at most in an open loop, over all shards of the calling node.
    pub in_flight: usize,
    /// How many different keys the calls have, which choose the channel; 0 = none, and then all calls of one
    /// shard have the same channel.
    pub keys: usize,
    /// Calls of this time at the beginning are not counted.
    pub warm_up: Duration,
    /// The time that is measured.
    pub duration: Duration,
    /// The process of the called node, if its processor time is to be measured.
    pub server_process: Option<u32>,
}

/// Processor time used while it was measured, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSeconds {
    /// Of this process.
    pub client: f64,
    /// Of the called node's process; `None` when it was not given, or has ended.
    pub server: Option<f64>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadResult {
    /// Calls that were answered while it was measured.
    pub calls: u64,
    /// The same a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// The same with every call: nanoseconds. In an open loop those are the calls that should have begun while
    /// it was measured, and those that were never answered count with the time that they had waited.
    pub latencies: Histogram<u64>,
    /// Calls that failed, by the code of their error.
    pub errors: BTreeMap<&'static str, u64>,
    /// How they were made.
    pub pace: Pace,
    /// Calls in flight.
    pub in_flight: usize,
    /// The most calls of an open loop that should have begun and could not, because so many were in flight.
    pub backlog_max: u64,
    /// Calls of an open loop that were not answered in the time that was left to them at the end.
    pub unanswered: u64,
    /// How many calls a second were answered when, the warm-up included.
    pub rates: Vec<Rate>,
    /// Size of the value, in bytes.
    pub size: usize,
    /// The time that was measured.
    pub seconds: f64,
    /// What it cost.
    pub cpu_seconds: CpuSeconds,
}

impl LoadResult {
    /// How many calls failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A load under way.
pub struct RunningLoad {
    load: Load,
    progress: Arc<[AtomicU64]>,
    rates: Rates,
    waiting: Vec<Receiver<Option<ShardResult>>>,
    arrived: Vec<ShardResult>,
}

/// What the callers of one shard measured.
struct ShardResult {
    calls: u64,
    latencies: Histogram<u64>,
    errors: BTreeMap<&'static str, u64>,
    backlog_max: u64,
    unanswered: u64,
    seconds: f64,
    cpu_seconds: CpuSeconds,
}

impl Load {
    /// Lets the callers loose on every shard of `node`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn start(self, node: &Node) -> Result<RunningLoad, LoadError> {
        if self.in_flight == 0 || self.in_flight > IN_FLIGHT_MAX {
            return Err(LoadError::InFlight(self.in_flight));
        }
        if let Pace::Open(rate) = self.pace
            && !(rate > 0.0 && rate <= CALLS_PER_SECOND_MAX)
        {
            return Err(LoadError::Rate(rate));
        }
        // The clock is calibrated here, where nobody is measured yet.
        Instant::now();
        let shards = node.threads();
        let progress: Arc<[AtomicU64]> = (0..shards).map(|_| AtomicU64::new(0)).collect();
        let claimed: Arc<[AtomicBool]> = (0..shards).map(|_| AtomicBool::new(false)).collect();
        let (arrived, working) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut waiting = Vec::new();
        for guest in 0..shards * GUESTS_PER_SHARD_MAX {
            if working.load(Ordering::Acquire) == shards {
                break;
            }
            let (load, progress, claimed) = (self.clone(), Arc::clone(&progress), Arc::clone(&claimed));
            let (arrived_there, working_there) = (Arc::clone(&arrived), Arc::clone(&working));
            waiting.push(node.run(move |caller| async move {
                let shard = caller.shard_index();
                let ours = claimed
                    .get(shard)
                    .is_some_and(|claim| !claim.swap(true, Ordering::AcqRel));
                working_there.fetch_add(usize::from(ours), Ordering::AcqRel);
                arrived_there.fetch_add(1, Ordering::AcqRel);
                if !ours {
                    return None;
                }
                Some(on_shard(caller, load, progress).await)
            })?);
            let sent = Instant::now();
            while arrived.load(Ordering::Acquire) <= guest {
                if sent.elapsed() > ARRIVAL_TIME_MAX {
                    return Err(LoadError::Shards {
                        reached: working.load(Ordering::Acquire),
                        shards,
                    });
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        let reached = working.load(Ordering::Acquire);
        if reached < shards {
            return Err(LoadError::Shards { reached, shards });
        }
        Ok(RunningLoad {
            rates: Rates::start(self.warm_up + self.duration),
            load: self,
            progress,
            waiting,
            arrived: Vec::new(),
        })
    }
}

impl RunningLoad {
    /// Calls answered so far, the warm-up included.
    pub fn calls(&self) -> u64 {
        self.progress
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Waits for the result, for `time_max` at most; `None` = not yet.
    ///
    /// # Errors
    /// [`LoadError::Node`] when the calling node stopped.
    pub fn wait(&mut self, time_max: Duration) -> Result<Option<LoadResult>, LoadError> {
        let started = Instant::now();
        while let Some(receiver) = self.waiting.last() {
            let left = time_max.saturating_sub(started.elapsed());
            match receiver.recv_timeout(left.min(LOOK_TIME)) {
                Ok(result) => {
                    self.arrived.extend(result);
                    self.waiting.pop();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.rates.look(self.calls());
                    if left <= LOOK_TIME {
                        return Ok(None);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(LoadError::Node(Error::ShuttingDown)),
            }
        }
        self.rates.look(self.calls());
        Ok(Some(self.merge()))
    }

    fn merge(&mut self) -> LoadResult {
        let mut latencies = report::histogram();
        let mut errors = BTreeMap::new();
        let (mut calls, mut calls_per_second, mut seconds) = (0, 0.0, 0f64);
        let (mut backlog_max, mut unanswered) = (0, 0);
        let mut cpu_seconds = CpuSeconds::default();
        for shard in self.arrived.drain(..) {
            calls += shard.calls;
            calls_per_second += shard.calls as f64 / shard.seconds;
            backlog_max += shard.backlog_max;
            unanswered += shard.unanswered;
            // Cannot fail: they have the same bounds.
            let _ = latencies.add(&shard.latencies);
            for (code, count) in shard.errors {
                *errors.entry(code).or_insert(0) += count;
            }
            seconds = seconds.max(shard.seconds);
            // Each shard saw the whole process; the windows differ by less than a millisecond.
            if shard.cpu_seconds.client >= cpu_seconds.client {
                cpu_seconds = shard.cpu_seconds;
            }
        }
        LoadResult {
            calls,
            calls_per_second,
            latency_us: Latency::of(&latencies),
            latencies,
            errors,
            pace: self.load.pace,
            backlog_max,
            unanswered,
            rates: self.rates.read(),
            in_flight: self.load.in_flight,
            size: self.load.size,
            seconds,
            cpu_seconds,
        }
    }
}

/// Runs one shard's share of a load.
async fn on_shard(caller: Caller, load: Load, progress: Arc<[AtomicU64]>) -> ShardResult {
    let (shard, shards) = (caller.shard_index(), caller.shards());
    let in_flight = load.in_flight / shards + usize::from(shard < load.in_flight % shards);
    let work = Work::new(&caller, &load, progress);
    let timetable = match load.pace {
        Pace::Closed => {
            closed::start(&caller, &work, in_flight);
            None
        }
        Pace::Open(rate) => Some(open::start(&caller, &work, (rate, in_flight), &load)),
    };

    caller.sleep(load.warm_up).await;
    if timetable.is_none() {
        work.forget();
    }
    let (calls_before, cpu_before) = (work.calls(), cpu_now(load.server_process));
    let started = Instant::now();

    caller.sleep(load.duration).await;
    let seconds = started.elapsed().as_secs_f64();
    let calls = work.calls() - calls_before;
    let cpu_after = cpu_now(load.server_process);
    let counted = timetable.is_none().then(|| work.counted());

    // Calls that are given up would be answered to nobody; let them end.
    work.end();
    let ending = Instant::now();
    while !work.is_done() && ending.elapsed() < DRAIN_TIME_MAX {
        caller.sleep(ERROR_PAUSE).await;
    }
    let (backlog_max, unanswered) = timetable.map_or((0, 0), |timetable| timetable.close());
    // A timetable says by itself which calls count, and those may be answered late.
    let (latencies, errors) = counted.unwrap_or_else(|| work.counted());
    ShardResult {
        calls,
        latencies,
        errors,
        backlog_max,
        unanswered,
        seconds,
        cpu_seconds: CpuSeconds {
            client: cpu_after.client - cpu_before.client,
            server: cpu_after
                .server
                .zip(cpu_before.server)
                .map(|(after, before)| after - before),
        },
    }
}

fn cpu_now(server: Option<u32>) -> CpuSeconds {
    CpuSeconds {
        client: cpu_seconds(std::process::id()).unwrap_or(0.0),
        server: server.and_then(cpu_seconds),
    }
}
