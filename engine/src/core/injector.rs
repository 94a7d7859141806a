//! How threads that are no shard hand a job to one: a bounded queue and the shard's doorbell.
//!
//! Invariants: whoever pushes rings afterwards; a job that the shard no longer runs is dropped, so whoever waits for
//! it must be told by its drop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::core::router::Job;
use crate::rt::Runtime;
use crate::rt::doorbell::Bell;

/// Most jobs from threads outside that wait for one shard.
const JOBS_MAX: usize = 16_384;

/// What other threads see of a shard.
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

    /// Hands over a job from any thread; gives it back when the queue is full or the shard has ended.
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(job);
        }
        self.jobs.push(job)?;
        if self.closed.load(Ordering::SeqCst) {
            // It was closed meanwhile, maybe after its last look at the queue.
            self.drop_jobs();
        }
        self.bell.ring();
        Ok(())
    }

    /// The next job. Only the shard itself takes.
    pub(crate) fn pop(&self) -> Option<Job> {
        self.jobs.pop()
    }

    /// Whether no job waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes no more jobs, and drops those that wait.
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
