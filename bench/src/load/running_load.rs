//! A running load: its callers on every shard of a node, its progress, and its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use quanta::Instant;
use skyring::{Error, Node};

use super::error::LoadError;
use super::rates::Rates;
use super::result::{LoadResult, ShardResult};
use super::settings::{CALLS_PER_SECOND_MAX, IN_FLIGHT_MAX, Load, LoadModel};
use super::shard::run_shard;
use crate::interrupt::Interrupt;

/// Time between two records of the number of answered calls.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a job may take to begin on its shard.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(5);

/// Jobs that are sent for each shard before a shard is considered unreachable. A job's shard follows from its handle,
/// evenly, so each misses a given shard of n with a chance of 1 - 1/n.
const JOBS_PER_SHARD_MAX: usize = 64;

/// A running load.
pub struct RunningLoad {
    load: Load,
    progress: Arc<[AtomicU64]>,
    rates: Rates,
    waiting: Vec<Receiver<Option<ShardResult>>>,
    arrived: Vec<ShardResult>,
}

impl Load {
    /// Starts callers on every shard of `node`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn start(self, node: &Node) -> Result<RunningLoad, LoadError> {
        if self.in_flight == 0 || self.in_flight > IN_FLIGHT_MAX {
            return Err(LoadError::InFlight(self.in_flight));
        }
        if let LoadModel::Open(rate) = self.model
            && !(rate > 0.0 && rate <= CALLS_PER_SECOND_MAX)
        {
            return Err(LoadError::Rate(rate));
        }
        // The clock is calibrated here, before the measurement.
        Instant::now();
        let shards = node.threads();
        let progress: Arc<[AtomicU64]> = (0..shards).map(|_| AtomicU64::new(0)).collect();
        let claimed: Arc<[AtomicBool]> = (0..shards).map(|_| AtomicBool::new(false)).collect();
        let (arrived, working) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut waiting = Vec::new();
        for job in 0..shards * JOBS_PER_SHARD_MAX {
            if working.load(Ordering::Acquire) == shards {
                break;
            }
            let (load, progress, claimed) = (self.clone(), Arc::clone(&progress), Arc::clone(&claimed));
            let (arrived_there, working_there) = (Arc::clone(&arrived), Arc::clone(&working));
            waiting.push(node.run(move |caller| async move {
                let shard = caller.shard_index();
                let is_first = claimed
                    .get(shard)
                    .is_some_and(|claim| !claim.swap(true, Ordering::AcqRel));
                working_there.fetch_add(usize::from(is_first), Ordering::AcqRel);
                arrived_there.fetch_add(1, Ordering::AcqRel);
                if !is_first {
                    return None;
                }
                Some(run_shard(caller, load, progress).await)
            })?);
            let sent = Instant::now();
            while arrived.load(Ordering::Acquire) <= job {
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
            match receiver.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(result) => {
                    self.arrived.extend(result);
                    self.waiting.pop();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.rates.record(self.calls());
                    if left <= POLL_INTERVAL {
                        return Ok(None);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(LoadError::Node(Error::ShuttingDown)),
            }
        }
        self.rates.record(self.calls());
        Ok(Some(LoadResult::merge(
            &self.load,
            self.rates.read(),
            std::mem::take(&mut self.arrived),
        )))
    }

    /// Waits for the result, and calls `observe` about twenty times a second meanwhile; `None` = interrupted.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub(crate) fn wait_or_interrupt(
        &mut self,
        interrupt: &Interrupt,
        mut observe: impl FnMut(&RunningLoad),
    ) -> Result<Option<LoadResult>, LoadError> {
        while !interrupt.requested() {
            if let Some(result) = self.wait(POLL_INTERVAL)? {
                return Ok(Some(result));
            }
            observe(self);
        }
        Ok(None)
    }
}
