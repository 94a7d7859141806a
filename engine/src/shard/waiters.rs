//! The calls and sleeps of a shard that wait for something, and what they got.

use std::task::Waker;

use skyring_codec::wheel::TimerKey;

use crate::error::Error;
use crate::service::message::Payload;
use crate::shard::slab::{Key, Slab};

/// What a waiter got.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The answer to its call.
    Answer(Result<Payload, Error>),
    /// Its time was over: the end of a sleep, or of a call's patience.
    Elapsed,
}

struct Waiter {
    waker: Option<Waker>,
    timer: Option<TimerKey>,
    outcome: Option<Outcome>,
}

/// All waiters of a shard. An answer to one that is gone is dropped, and said to be late.
#[derive(Default)]
pub(crate) struct Waiters(Slab<Waiter>);

impl Waiters {
    /// A new waiter without a timer.
    pub(crate) fn insert(&mut self) -> Key {
        self.0.insert(Waiter {
            waker: None,
            timer: None,
            outcome: None,
        })
    }

    /// Remembers the timer that limits a waiter, so that its end cancels it.
    pub(crate) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(waiter) = self.0.get_mut(key) {
            waiter.timer = Some(timer);
        }
    }

    /// Gives a waiter its outcome and the caller its waker, and its timer to cancel. `None`: it is gone,
    /// or has an outcome already.
    pub(crate) fn complete(
        &mut self,
        key: Key,
        outcome: Outcome,
    ) -> Option<(Option<Waker>, Option<TimerKey>)> {
        let waiter = self.0.get_mut(key)?;
        if waiter.outcome.is_some() {
            return None;
        }
        waiter.outcome = Some(outcome);
        Some((waiter.waker.take(), waiter.timer.take()))
    }

    /// The outcome, if there is one, which ends the waiter; else keeps `waker` for it.
    pub(crate) fn poll(&mut self, key: Key, waker: &Waker) -> Option<Outcome> {
        let waiter = self.0.get_mut(key)?;
        if waiter.outcome.is_some() {
            return self.0.remove(key).and_then(|waiter| waiter.outcome);
        }
        match &mut waiter.waker {
            Some(kept) if kept.will_wake(waker) => {}
            kept => *kept = Some(waker.clone()),
        }
        None
    }

    /// Ends a waiter that nobody polls any more; gives back its timer to cancel.
    pub(crate) fn forget(&mut self, key: Key) -> Option<TimerKey> {
        self.0.remove(key)?.timer
    }

    /// Waiters now.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
