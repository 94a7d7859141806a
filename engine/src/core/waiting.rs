//! The operations of the rooms on the waiters of their shard.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use skyring_codec::Millis;

use crate::core::ShardCore;
use crate::core::external::ExternalWaiter;
use crate::core::payload::Payload;
use crate::core::request::ReplyTo;
use crate::core::slab::Key;
use crate::core::timers::Timer;
use crate::core::waiters::{Notification, Outcome, Polled};
use crate::error::Error;

impl<R: ?Sized> ShardCore<R> {
    /// Adds a waiter, with a timer if there is a `deadline`.
    #[inline(always)]
    pub(crate) fn insert_waiter(&self, deadline: Option<Millis>) -> Key {
        let key = self.waiters.borrow_mut().insert();
        self.set_waiter_deadline(key, deadline);
        key
    }

    /// Adds a waiter for a caller on another thread, with a timer if there is a `deadline`.
    pub(crate) fn insert_external_waiter(
        &self,
        external: Arc<ExternalWaiter>,
        deadline: Option<Millis>,
    ) -> Key {
        let key = self.waiters.borrow_mut().insert_external(external);
        self.set_waiter_deadline(key, deadline);
        key
    }

    #[inline(always)]
    fn set_waiter_deadline(&self, key: Key, deadline: Option<Millis>) {
        if let Some(deadline) = deadline {
            let timer = self.set_timer(deadline, Timer::Waiter(key));
            self.waiters.borrow_mut().set_timer(key, timer);
        }
    }

    /// The reply address of a waiter of this shard.
    #[inline]
    pub(crate) fn waiter(&self, key: Key) -> ReplyTo {
        ReplyTo::Waiter {
            shard: self.index as u16,
            key,
        }
    }

    /// Completes a waiter of this shard. An outcome for a removed waiter counts as a late reply.
    pub(crate) fn complete_waiter(&self, key: Key, outcome: Outcome) {
        let completed = self.waiters.borrow_mut().complete(key, outcome);
        let Some((notification, timer)) = completed else {
            // A stopping node has dropped its callers: their replies do not count as late.
            if !self.stopping.get() {
                self.node.metrics.replies_late.add(1);
            }
            return;
        };
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
        match notification {
            Notification::Task(Some(waker)) => waker.wake(),
            Notification::Task(None) => {}
            Notification::External(external, outcome) => {
                if external.span().is_some() {
                    self.end_span(external.span(), outcome.error_code());
                }
                external.complete(outcome);
            }
        }
    }

    /// Fails the calls of other threads: the shard stops.
    pub(crate) fn end_external_waiters(&self) {
        let external = self.waiters.borrow_mut().drain_external();
        for waiter in external {
            waiter.complete(Outcome::Answer(Err(Error::ShuttingDown)));
        }
    }

    /// Completes a waiter of this shard with the answer to its call, as [`complete_waiter`](Self::complete_waiter)
    /// does.
    #[inline(always)]
    pub(crate) fn answer_waiter(&self, key: Key, payload: Payload) {
        let answered = self.waiters.borrow_mut().answer(key, payload);
        match answered {
            Ok((waker, timer)) => {
                if let Some(timer) = timer {
                    self.cancel_timer(timer);
                }
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Err(payload) => self.complete_waiter(key, Outcome::Answer(Ok(payload))),
        }
    }

    /// Like `answer_waiter`, for an answer that may be an error.
    #[inline]
    pub(crate) fn answer(&self, key: Key, result: Result<Payload, Error>) {
        match result {
            Ok(payload) => self.answer_waiter(key, payload),
            Err(error) => self.complete_waiter(key, Outcome::Answer(Err(error))),
        }
    }

    /// See [`Waiters::poll`](crate::core::waiters::Waiters::poll).
    #[inline(always)]
    pub(crate) fn poll_call(&self, key: Key, waker: &Waker) -> Polled {
        self.waiters.borrow_mut().poll(key, waker)
    }

    /// Like `poll_call`, with every outcome in one form.
    pub(crate) fn poll_waiter(&self, key: Key, waker: &Waker) -> Option<Outcome> {
        match self.poll_call(key, waker) {
            Polled::Pending => None,
            Polled::Payload(payload) => Some(Outcome::Answer(Ok(payload))),
            Polled::Outcome(outcome) => Some(outcome),
        }
    }

    /// Awaits the outcome of a waiter. A caller that drops this future removes the waiter with
    /// [`remove_waiter`](Self::remove_waiter).
    pub(crate) async fn wait(&self, key: Key) -> Outcome {
        poll_fn(|context| match self.poll_waiter(key, context.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        })
        .await
    }

    /// Removes a waiter that is no longer polled.
    pub(crate) fn remove_waiter(&self, key: Key) {
        let timer = self.waiters.borrow_mut().remove(key);
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
    }

    /// The number of pending calls and sleeps of this shard.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.borrow().len()
    }
}
