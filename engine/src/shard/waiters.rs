//! The calls and sleeps of a shard that wait for something, and what they got.

use std::sync::Arc;
use std::task::Waker;

use skyring_codec::wheel::TimerKey;

use crate::client::Slot;
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

enum State {
    /// A future of this shard, which polls for the outcome.
    Waiting(Option<Waker>),
    /// A caller on another thread, who is given the outcome.
    Outside(Arc<Slot>),
    /// What nearly every call gets, by itself: moving an [`Outcome`] about was measured to cost as much as the rest
    /// of a waiter's life. `None` only while it is being taken.
    Answered(Option<Payload>),
    Done(Outcome),
}

/// What a look at a waiter finds.
pub(crate) enum Polled {
    /// Nothing yet.
    Pending,
    /// The answer to its call; the waiter has ended.
    Payload(Payload),
    /// Anything else; the waiter has ended.
    Outcome(Outcome),
}

struct Waiter {
    state: State,
    timer: Option<TimerKey>,
}

/// Whom to tell that a waiter has its outcome.
pub(crate) enum Notice {
    Task(Option<Waker>),
    Outside(Arc<Slot>, Outcome),
}

/// All waiters of a shard. An answer to one that is gone is dropped, and said to be late.
#[derive(Default)]
pub(crate) struct Waiters(Slab<Waiter>);

impl Waiters {
    /// A new waiter of this shard, without a timer.
    #[inline]
    pub(crate) fn insert(&mut self) -> Key {
        self.0.insert(Waiter {
            state: State::Waiting(None),
            timer: None,
        })
    }

    /// A new waiter for a caller on another thread.
    pub(crate) fn insert_outside(&mut self, slot: Arc<Slot>) -> Key {
        self.0.insert(Waiter {
            state: State::Outside(slot),
            timer: None,
        })
    }

    /// Remembers the timer that limits a waiter, so that its end cancels it.
    #[inline]
    pub(crate) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(waiter) = self.0.get_mut(key) {
            waiter.timer = Some(timer);
        }
    }

    /// Gives a waiter its outcome; says whom to tell, and which timer to cancel. `None`: it is gone, or has
    /// an outcome already.
    #[inline]
    pub(crate) fn complete(&mut self, key: Key, outcome: Outcome) -> Option<(Notice, Option<TimerKey>)> {
        let waiter = self.0.get_mut(key)?;
        match &mut waiter.state {
            State::Done(_) | State::Answered(_) => None,
            State::Waiting(waker) => {
                let waker = waker.take();
                waiter.state = State::Done(outcome);
                Some((Notice::Task(waker), waiter.timer.take()))
            }
            State::Outside(_) => {
                let waiter = self.0.remove(key)?;
                let State::Outside(slot) = waiter.state else {
                    return None;
                };
                Some((Notice::Outside(slot, outcome), waiter.timer))
            }
        }
    }

    /// Gives a waiter the answer to its call, as [`complete`](Self::complete) does; the payload comes back if that
    /// has to do it.
    #[inline]
    pub(crate) fn answer(
        &mut self,
        key: Key,
        payload: Payload,
    ) -> Result<(Option<Waker>, Option<TimerKey>), Payload> {
        match self.0.get_mut(key) {
            Some(Waiter {
                state: state @ State::Waiting(_),
                timer,
            }) => {
                let State::Waiting(waker) = std::mem::replace(state, State::Answered(Some(payload))) else {
                    return Ok((None, None));
                };
                Ok((waker, timer.take()))
            }
            _ => Err(payload),
        }
    }

    /// The outcome, if there is one, which ends the waiter; else keeps `waker` for it.
    #[inline]
    pub(crate) fn poll(&mut self, key: Key, waker: &Waker) -> Polled {
        let Some(waiter) = self.0.get_mut(key) else {
            return Polled::Pending;
        };
        match &mut waiter.state {
            State::Answered(payload) => {
                let payload = payload.take().unwrap_or_default();
                self.0.remove(key);
                Polled::Payload(payload)
            }
            State::Waiting(Some(kept)) if kept.will_wake(waker) => Polled::Pending,
            State::Waiting(kept) => {
                *kept = Some(waker.clone());
                Polled::Pending
            }
            State::Outside(_) => Polled::Pending,
            State::Done(_) => match self.0.remove(key).map(|waiter| waiter.state) {
                Some(State::Done(outcome)) => Polled::Outcome(outcome),
                _ => Polled::Pending,
            },
        }
    }

    /// Ends a waiter that nobody polls any more; gives back its timer to cancel.
    #[inline]
    pub(crate) fn forget(&mut self, key: Key) -> Option<TimerKey> {
        self.0.remove(key)?.timer
    }

    /// Takes every waiter of another thread out.
    pub(crate) fn drain_outside(&mut self) -> Vec<Arc<Slot>> {
        let outside = |waiter: &Waiter| matches!(waiter.state, State::Outside(_));
        let waiters = self.0.drain_where(outside);
        waiters
            .into_iter()
            .filter_map(|waiter| match waiter.state {
                State::Outside(slot) => Some(slot),
                State::Waiting(_) | State::Answered(_) | State::Done(_) => None,
            })
            .collect()
    }

    /// Waiters now.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
