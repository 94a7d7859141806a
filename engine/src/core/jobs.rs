//! The job thread: it does the blocking work that no shard may do, such as looking up host names and reading files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Most jobs that wait for the job thread.
pub(crate) const JOBS_WAITING_MAX: usize = 1_024;

/// Work for the job thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The job thread's queue. The thread ends when this is dropped and its jobs are done.
pub(crate) struct Jobs {
    jobs: SyncSender<Job>,
}

impl Jobs {
    /// A queue without a thread, which refuses all jobs.
    #[cfg(test)]
    pub(crate) fn disabled() -> Jobs {
        Jobs {
            jobs: sync_channel(0).0,
        }
    }

    /// Queues a job; returns false when the queue is full.
    pub(crate) fn submit(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Jobs> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_WAITING_MAX);
        std::thread::Builder::new()
            .name("jobs".to_owned())
            .spawn(move || {
                for job in queue {
                    // A job that panics loses its own answer, not the thread.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        Ok(Jobs { jobs })
    }
}
