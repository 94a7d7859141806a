//! The job thread: it does the blocking work that no shard may do, such as looking up host names and reading files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Most jobs that wait for the job thread.
pub(crate) const JOBS_WAITING_MAX: usize = 1_024;

/// Work for the job thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The job thread's queue. The thread ends when this is dropped and its jobs are done.
pub(crate) struct Jobs {
    /// `None`: jobs run where they are submitted.
    jobs: Option<SyncSender<Job>>,
}

impl Jobs {
    /// A queue without a thread, which refuses all jobs.
    #[cfg(test)]
    pub(crate) fn disabled() -> Jobs {
        Jobs {
            jobs: Some(sync_channel(0).0),
        }
    }

    /// Runs each job where it is submitted, for tests in virtual time.
    #[cfg(feature = "testing")]
    pub(crate) fn inline() -> Jobs {
        Jobs { jobs: None }
    }

    /// Queues a job; returns false when the queue is full.
    pub(crate) fn submit(&self, job: Job) -> bool {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job).is_ok(),
            None => {
                run(job);
                true
            }
        }
    }

    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Jobs> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_WAITING_MAX);
        std::thread::Builder::new()
            .name("jobs".to_owned())
            .spawn(move || queue.into_iter().for_each(run))?;
        Ok(Jobs { jobs: Some(jobs) })
    }
}

/// Runs a job. One that panics loses its own answer, not the thread.
fn run(job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}
