//! A running load: its callers on every shard of a node, its progress, and its result.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use quanta::Instant;
use skyring::{Answer, Caller, Context, Error, Message, Node, Service, SocketEvent};

use super::callee::{Callee, ServiceCallee};
use super::error::LoadError;
use super::rates::Rates;
use super::result::{LoadResult, ShardResult};
use super::settings::{Load, Schedule, TargetLoad};
use super::shard::run_shard;
use super::shard_load::ShardLoad;
use super::target_callee::TargetCallee;
use crate::interrupt::Interrupt;

/// Time between two records of the number of answered calls.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running load.
pub struct RunningLoad {
    schedule: Schedule,
    progress: Arc<[AtomicU64]>,
    rates: Rates,
    /// The result of each shard, when it is done.
    results: Receiver<ShardResult>,
    arrived: Vec<ShardResult>,
}

/// The callers of one shard, as a service, which owns the sockets that they need.
struct ShardService<C>(Rc<ShardLoad<C>>);

impl<C: Callee> Service for ShardService<C> {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("the callers of a load take no messages"))
    }

    fn socket(&mut self, _context: &Context<Self>, event: SocketEvent) {
        self.0.callee().socket_event(event);
    }
}

impl Load {
    /// Starts callers on every shard of `node`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn start(self, node: &Node) -> Result<RunningLoad, LoadError> {
        let schedule = self.schedule();
        start_schedule(node, schedule, move |caller| ServiceCallee::new(caller, &self))
    }
}

impl TargetLoad {
    /// Connects every shard of `node` to the target, and starts callers there.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn start(self, node: &Node) -> Result<RunningLoad, LoadError> {
        let schedule = self.schedule();
        start_schedule(node, schedule, move |caller| {
            TargetCallee::new(caller, &self.target, self.connections)
        })
    }
}

/// Starts callers on every shard of `node`, which call what `make` makes there.
pub(crate) fn start_schedule<C: Callee>(
    node: &Node,
    schedule: Schedule,
    make: impl Fn(&Caller) -> C + Clone + Send + 'static,
) -> Result<RunningLoad, LoadError> {
    schedule.check()?;
    // The clock is calibrated here, before the measurement.
    Instant::now();
    let progress: Arc<[AtomicU64]> = (0..node.threads()).map(|_| AtomicU64::new(0)).collect();
    let (sender, results) = mpsc::channel();
    let (there, counts) = (schedule.clone(), Arc::clone(&progress));
    node.block_on(move |caller| async move {
        // One instance of a keyed service is on each shard.
        let launched = caller.launch_keyed(move |context: &Context<ShardService<C>>| {
            let caller: Caller = (**context).clone();
            let shard_load = ShardLoad::new(make(&caller), caller.shard_index(), Arc::clone(&counts));
            let (callers, schedule, sender) = (Rc::clone(&shard_load), there.clone(), sender.clone());
            context.spawn(async move {
                let result = run_shard(caller.clone(), callers, schedule).await;
                // Nobody listens when the load was dropped.
                let _ = sender.send(result);
                caller.exit();
            });
            ShardService(shard_load)
        });
        launched.await.map(drop)
    })??;
    Ok(RunningLoad {
        rates: Rates::start(schedule.warm_up + schedule.duration),
        schedule,
        progress,
        results,
        arrived: Vec::new(),
    })
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
        while self.arrived.len() < self.progress.len() {
            let left = time_max.saturating_sub(started.elapsed());
            match self.results.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(result) => self.arrived.push(result),
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
            &self.schedule,
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
