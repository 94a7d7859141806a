//! A caller on another thread: where the outcome of its call is put, and how it learns of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::core::waiters::Outcome;
use crate::error::Error;

pub(crate) enum ExternalState {
    Waiting(Option<Waker>),
    Done(Outcome),
    Taken,
}

/// Where the answer to a call from outside is put.
pub(crate) struct ExternalWaiter {
    state: Mutex<ExternalState>,
    /// For threads that block.
    done: Condvar,
}

impl ExternalWaiter {
    /// One that has no outcome yet.
    pub(crate) fn new() -> Arc<ExternalWaiter> {
        Arc::new(ExternalWaiter {
            state: Mutex::new(ExternalState::Waiting(None)),
            done: Condvar::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ExternalState> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the state may have changed.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, ExternalState>) -> MutexGuard<'a, ExternalState> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the outcome in and wakes whoever waits. The first one counts.
    pub(crate) fn complete(&self, outcome: Outcome) {
        let mut state = self.lock();
        if let ExternalState::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = ExternalState::Done(outcome);
            drop(state);
            self.done.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// An external waiter on its way to a shard: if it never arrives, its caller is told that the node stops.
pub(crate) struct ExternalInTransit(Option<Arc<ExternalWaiter>>);

impl ExternalInTransit {
    pub(crate) fn new(waiter: Arc<ExternalWaiter>) -> ExternalInTransit {
        ExternalInTransit(Some(waiter))
    }

    pub(crate) fn arrive(mut self) -> Option<Arc<ExternalWaiter>> {
        self.0.take()
    }
}

impl Drop for ExternalInTransit {
    fn drop(&mut self) {
        if let Some(waiter) = self.0.take() {
            waiter.complete(Outcome::Answer(Err(Error::ShuttingDown)));
        }
    }
}
