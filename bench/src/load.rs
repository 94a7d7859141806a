//! A load: callers that each have one call in flight, again and again, and what their calls took.
//!
//! It is a closed loop: a caller begins its next call when its last one is answered, so a slow server is
//! asked less. Its own cost is small: one look at the clock and one count in a histogram a call, no lock
//! and no atomic but a plain store for the live rate. Every shard of the node has its share of the callers
//! and a histogram of its own; they are merged at the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Instant;
use skyring::{Address, Caller, Error, Node, NodeRef, Payload};
use thiserror::Error as ThisError;

use crate::cpu::cpu_seconds;
use crate::report::{self, Latency};

/// Most calls in flight of one load.
const IN_FLIGHT_MAX: usize = 1 << 20;

/// A caller whose call failed pauses this long, so that errors at once do not become a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// How long the calls that are in flight at the end may take until they are given up.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

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
    /// How many calls are in flight, over all shards of the calling node.
    pub in_flight: usize,
    /// Calls of this time at the beginning are not counted.
    pub warm_up: Duration,
    /// The time that is measured.
    pub duration: Duration,
    /// The process of the called node, if its processor time is to be measured.
    pub server_process: Option<u32>,
}

/// Processor time used while it was measured, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
    /// Calls that failed, by the code of their error.
    pub errors: BTreeMap<&'static str, u64>,
    /// Calls in flight.
    pub in_flight: usize,
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
    waiting: Vec<Receiver<Option<ShardResult>>>,
    arrived: Vec<ShardResult>,
}

/// What the callers of one shard measured.
struct ShardResult {
    latencies: Histogram<u64>,
    errors: BTreeMap<&'static str, u64>,
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
            match receiver.recv_timeout(time_max.saturating_sub(started.elapsed())) {
                Ok(result) => {
                    self.arrived.extend(result);
                    self.waiting.pop();
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(LoadError::Node(Error::ShuttingDown)),
            }
        }
        Ok(Some(self.merge()))
    }

    fn merge(&mut self) -> LoadResult {
        let mut latencies = report::histogram();
        let mut errors = BTreeMap::new();
        let (mut calls_per_second, mut seconds) = (0.0, 0f64);
        let mut cpu_seconds = CpuSeconds::default();
        for shard in self.arrived.drain(..) {
            calls_per_second += shard.latencies.len() as f64 / shard.seconds;
            // Cannot fail: they have the same bounds.
            let _ = latencies.add(&shard.latencies);
            for (code, count) in shard.errors {
                *errors.entry(code).or_insert(0) += count;
            }
            seconds = seconds.max(shard.seconds);
            // Each shard saw the whole process; the windows differ by less than a millisecond.
            if shard.cpu_seconds.client > cpu_seconds.client {
                cpu_seconds = shard.cpu_seconds;
            }
        }
        LoadResult {
            calls: latencies.len(),
            calls_per_second,
            latency_us: Latency::of(&latencies),
            errors,
            in_flight: self.load.in_flight,
            size: self.load.size,
            seconds,
            cpu_seconds,
        }
    }
}

/// What the callers of one shard share.
struct Work {
    node: NodeRef,
    address: Address,
    payload: Payload,
    latencies: RefCell<Histogram<u64>>,
    errors: RefCell<BTreeMap<&'static str, u64>>,
    /// Calls answered so far; only this shard writes its place in `progress`.
    calls: Cell<u64>,
    progress: Arc<[AtomicU64]>,
    shard: usize,
    over: Cell<bool>,
    callers: Cell<usize>,
}

impl Work {
    fn answered(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.borrow_mut().saturating_record(nanoseconds);
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if let Some(count) = self.progress.get(self.shard) {
            count.store(calls, Ordering::Relaxed);
        }
    }

    fn failed(&self, error: &Error) {
        *self.errors.borrow_mut().entry(error.code()).or_insert(0) += 1;
    }
}

/// Runs one shard's share of a load.
async fn on_shard(caller: Caller, load: Load, progress: Arc<[AtomicU64]>) -> ShardResult {
    let (shard, shards) = (caller.shard_index(), caller.shards());
    let callers = load.in_flight / shards + usize::from(shard < load.in_flight % shards);
    let work = Rc::new(Work {
        node: caller.node(load.node.as_str()),
        address: load.address,
        payload: load.payload,
        latencies: RefCell::new(report::histogram()),
        errors: RefCell::default(),
        calls: Cell::new(0),
        progress,
        shard,
        over: Cell::new(false),
        callers: Cell::new(callers),
    });
    for _ in 0..callers {
        caller.spawn(call_again_and_again(caller.clone(), Rc::clone(&work)));
    }

    caller.sleep(load.warm_up).await;
    work.latencies.borrow_mut().reset();
    work.errors.borrow_mut().clear();
    let cpu_before = cpu_now(load.server_process);
    let started = Instant::now();

    caller.sleep(load.duration).await;
    let seconds = started.elapsed().as_secs_f64();
    let latencies = work.latencies.borrow().clone();
    let errors = work.errors.borrow().clone();
    let cpu_after = cpu_now(load.server_process);

    // Calls that are given up would be answered to nobody; let them end.
    work.over.set(true);
    let ending = Instant::now();
    while work.callers.get() > 0 && ending.elapsed() < DRAIN_TIME_MAX {
        caller.sleep(ERROR_PAUSE).await;
    }
    ShardResult {
        latencies,
        errors,
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

async fn call_again_and_again(caller: Caller, work: Rc<Work>) {
    let mut begun = Instant::now();
    while !work.over.get() {
        let result = work
            .node
            .call_payload(work.address.clone(), Ok(work.payload.clone()))
            .await;
        let ended = Instant::now();
        match result {
            Ok(_) => {
                work.answered(ended - begun);
                // The next call begins now; looking at the clock again would only say so.
                begun = ended;
            }
            Err(error) => {
                work.failed(&error);
                caller.sleep(ERROR_PAUSE).await;
                begun = Instant::now();
            }
        }
    }
    work.callers.set(work.callers.get() - 1);
}

fn cpu_now(server: Option<u32>) -> CpuSeconds {
    CpuSeconds {
        client: cpu_seconds(std::process::id()).unwrap_or(0.0),
        server: server.and_then(cpu_seconds),
    }
}
