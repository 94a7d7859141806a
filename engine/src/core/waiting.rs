//! The calls and sleeps of a shard that wait, as its rooms begin, end and poll them.

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
use crate::core::waiters::{Notice, Outcome, Polled};
use crate::error::Error;

impl<R: ?Sized> ShardCore<R> {
    /// A new waiter, limited by `deadline` if there is one.
    #[inline(always)]
    pub(crate) fn insert_waiter(&self, deadline: Option<Millis>) -> Key {
        let key = self.waiters.borrow_mut().insert();
        self.limit_waiter(key, deadline);
        key
    }

    /// A new waiter for a caller on another thread, limited by `deadline` if there is one.
    pub(crate) fn insert_external_waiter(
        &self,
        external: Arc<ExternalWaiter>,
        deadline: Option<Millis>,
    ) -> Key {
        let key = self.waiters.borrow_mut().insert_external(external);
        self.limit_waiter(key, deadline);
        key
    }

    #[inline(always)]
    fn limit_waiter(&self, key: Key, deadline: Option<Millis>) {
        if let Some(deadline) = deadline {
            let timer = self.set_timer(deadline, Timer::Waiter(key));
            self.waiters.borrow_mut().set_timer(key, timer);
        }
    }

    /// Where the answer for a waiter of this shard goes.
    #[inline]
    pub(crate) fn waiter(&self, key: Key) -> ReplyTo {
        ReplyTo::Waiter {
            shard: self.index as u16,
            key,
        }
    }

    /// Gives a waiter of this shard its outcome. One that is gone counts as a late reply.
    pub(crate) fn complete_waiter(&self, key: Key, outcome: Outcome) {
        let completed = self.waiters.borrow_mut().complete(key, outcome);
        let Some((notice, timer)) = completed else {
            // A stopping node has dropped its callers, and nobody is late for them.
            if !self.stopping.get() {
                self.node.metrics.replies_late.add(1);
            }
            return;
        };
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
        match notice {
            Notice::Task(Some(waker)) => waker.wake(),
            Notice::Task(None) => {}
            Notice::External(external, outcome) => external.complete(outcome),
        }
    }

    /// Tells the callers on other threads that the shard stops.
    pub(crate) fn end_external_waiters(&self) {
        let external = self.waiters.borrow_mut().drain_external();
        for waiter in external {
            waiter.complete(Outcome::Answer(Err(Error::ShuttingDown)));
        }
    }

    /// Gives a waiter of this shard the answer to its call, as [`complete_waiter`](Self::complete_waiter) does.
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

    /// The same for an answer that may be an error.
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

    /// The same for those who look at every outcome alike.
    pub(crate) fn poll_waiter(&self, key: Key, waker: &Waker) -> Option<Outcome> {
        match self.poll_call(key, waker) {
            Polled::Pending => None,
            Polled::Payload(payload) => Some(Outcome::Answer(Ok(payload))),
            Polled::Outcome(outcome) => Some(outcome),
        }
    }

    /// Waits for the outcome of a waiter. Whoever drops this ends the waiter with
    /// [`forget_waiter`](Self::forget_waiter).
    pub(crate) async fn wait(&self, key: Key) -> Outcome {
        poll_fn(|context| match self.poll_waiter(key, context.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        })
        .await
    }

    /// Ends a waiter that nobody polls any more.
    pub(crate) fn forget_waiter(&self, key: Key) {
        let timer = self.waiters.borrow_mut().forget(key);
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
    }

    /// How many calls and sleeps wait on this shard.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.borrow().len()
    }
}
