//! The waiter of a caller on another thread: it stores the outcome of the call, and wakes the caller.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::core::spans::SpanKey;
use crate::core::waiters::Outcome;
use crate::error::Error;

pub(crate) enum ExternalState {
    Waiting(Option<Waker>),
    Done(Outcome),
    Taken,
}

/// The waiter of a call from another thread.
pub(crate) struct ExternalWaiter {
    state: Mutex<ExternalState>,
    /// For threads that block.
    done: Condvar,
    /// The span of the call; only its shard uses it.
    span: AtomicU32,
}

impl ExternalWaiter {
    /// A waiter without an outcome.
    pub(crate) fn new() -> Arc<ExternalWaiter> {
        Arc::new(ExternalWaiter {
            state: Mutex::new(ExternalState::Waiting(None)),
            done: Condvar::new(),
            span: AtomicU32::new(SpanKey::NONE.number()),
        })
    }

    /// Sets the span of the call, which ends with its outcome.
    pub(crate) fn set_span(&self, span: SpanKey) {
        self.span.store(span.number(), Ordering::Relaxed);
    }

    /// The span of the call.
    pub(crate) fn span(&self) -> SpanKey {
        SpanKey::from_number(self.span.load(Ordering::Relaxed))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ExternalState> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the state may have changed.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, ExternalState>) -> MutexGuard<'a, ExternalState> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the outcome and wakes the caller. Only the first outcome counts.
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

/// An external waiter in transit to a shard: if it is dropped there, its call fails because the node stops.
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
