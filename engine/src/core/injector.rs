//! The injector of a shard: a bounded queue of jobs from other threads, and the shard's doorbell.
//!
//! Invariants: every push is followed by a ring; a job that the shard no longer runs is dropped, so its drop must
//! notify its waiter.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::core::router::Job;
use crate::rt::Runtime;
use crate::rt::doorbell::Bell;

/// Most jobs from other threads that wait for one shard.
const JOBS_MAX: usize = 16_384;

/// The injector of a shard.
pub(crate) struct Injector {
    bell: Arc<Bell>,
    jobs: ArrayQueue<Job>,
    /// The shard has ended and runs no more jobs.
    closed: AtomicBool,
}

impl Injector {
    /// The queue and doorbell of a shard on this runtime.
    pub(crate) fn new(runtime: Runtime) -> io::Result<Injector> {
        Ok(Injector {
            bell: Bell::new(runtime)?,
            jobs: ArrayQueue::new(JOBS_MAX),
            closed: AtomicBool::new(false),
        })
    }

    /// Queues a job from any thread; returns it when the queue is full or the shard has ended.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(job);
        }
        self.jobs.push(job)?;
        if self.closed.load(Ordering::SeqCst) {
            // It was closed meanwhile, and may not drain the queue again.
            self.drop_jobs();
        }
        self.bell.ring();
        Ok(())
    }

    /// Removes the next job. Only the shard itself calls this.
    pub(crate) fn pop(&self) -> Option<Job> {
        self.jobs.pop()
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Refuses further jobs, and drops those that wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.drop_jobs();
    }

    /// Whether the shard has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn drop_jobs(&self) {
        while self.jobs.pop().is_some() {}
    }

    /// The shard's doorbell.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}
