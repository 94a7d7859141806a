//! The waiters of a shard: its pending calls and sleeps, and their outcomes.

use std::sync::Arc;
use std::task::Waker;

use skyring_codec::wheel::TimerKey;

use crate::core::external::ExternalWaiter;
use crate::core::payload::Payload;
use crate::core::slab::{GENERATION_MAX, Key};
use crate::error::Error;

/// The outcome of a waiter.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The answer to its call.
    Answer(Result<Payload, Error>),
    /// Its time has elapsed: the end of a sleep, or the timeout of a call.
    Elapsed,
}

impl Outcome {
    /// The code of the error that a call ends with.
    pub(crate) fn error_code(&self) -> Option<&'static str> {
        match self {
            Outcome::Answer(result) => result.as_ref().err().map(Error::code),
            Outcome::Elapsed => Some("timeout"),
        }
    }
}

/// The stage of a waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The slot is vacant.
    Vacant,
    Waiting,
    /// The answer to its call is in `payload`, as for nearly every call.
    Answered,
    /// Any other outcome is in `rare`.
    Done,
}

/// The fields that few waiters have.
enum Rare {
    /// A caller on another thread, which gets the outcome.
    External(Arc<ExternalWaiter>),
    Outcome(Outcome),
}

/// The result of a poll of a waiter.
pub(crate) enum Polled {
    /// Nothing yet.
    Pending,
    /// The answer to its call; the waiter has ended.
    Payload(Payload),
    /// Anything else; the waiter has ended.
    Outcome(Outcome),
}

/// A slot. Its state is in fields and not in the variants of an enum, so that a waiter moves only the fields that it
/// uses: moving the largest variant was measured to cost as much as everything else. A vacant slot holds nothing.
struct Waiter {
    generation: u32,
    stage: Stage,
    /// The next vacant slot, if this one is vacant.
    next: u32,
    timer: Option<TimerKey>,
    /// The waker of a future of this shard, which polls for the outcome.
    waker: Option<Waker>,
    payload: Payload,
    rare: Option<Box<Rare>>,
}

/// The receiver of the notification that a waiter has its outcome.
pub(crate) enum Notification {
    Task(Option<Waker>),
    External(Arc<ExternalWaiter>, Outcome),
}

/// No slot.
const NONE: u32 = u32::MAX;

/// All waiters of a shard, under keys with a generation. An answer to a removed waiter is dropped, and counts as
/// late.
pub(crate) struct Waiters {
    slots: Vec<Waiter>,
    /// The first vacant slot.
    vacant: u32,
    taken: usize,
}

impl Default for Waiters {
    fn default() -> Waiters {
        Waiters {
            slots: Vec::new(),
            vacant: NONE,
            taken: 0,
        }
    }
}

impl Waiters {
    /// Adds a waiter of this shard, without a timer.
    #[inline(always)]
    pub(crate) fn insert(&mut self) -> Key {
        self.taken += 1;
        let index = self.vacant;
        match self.slots.get_mut(index as usize) {
            Some(slot) => {
                self.vacant = slot.next;
                slot.stage = Stage::Waiting;
                Key::new(slot.generation, index)
            }
            None => self.grow(),
        }
    }

    #[cold]
    fn grow(&mut self) -> Key {
        // 2^32 waiters at once are impossible: memory ends first.
        let index = self.slots.len() as u32;
        let generation = 1;
        self.slots.push(Waiter {
            generation,
            stage: Stage::Waiting,
            next: NONE,
            timer: None,
            waker: None,
            payload: Payload::default(),
            rare: None,
        });
        Key::new(generation, index)
    }

    /// Adds a waiter for a caller on another thread.
    pub(crate) fn insert_external(&mut self, external: Arc<ExternalWaiter>) -> Key {
        let key = self.insert();
        if let Some(waiter) = self.find(key) {
            waiter.rare = Some(Box::new(Rare::External(external)));
        }
        key
    }

    #[inline(always)]
    fn find(&mut self, key: Key) -> Option<&mut Waiter> {
        self.slots
            .get_mut(key.index())
            .filter(|waiter| waiter.generation == key.generation() && waiter.stage != Stage::Vacant)
    }

    /// Frees the slot of this key, which must hold nothing any more.
    #[inline(always)]
    fn vacate(&mut self, key: Key) {
        if let Some(waiter) = self.slots.get_mut(key.index()) {
            waiter.generation = waiter.generation.wrapping_add(1) & GENERATION_MAX;
            waiter.stage = Stage::Vacant;
            waiter.next = self.vacant;
            self.vacant = key.index() as u32;
            self.taken -= 1;
        }
    }

    /// Sets the timer of a waiter, so that its end cancels it.
    #[inline]
    pub(crate) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(waiter) = self.find(key) {
            waiter.timer = Some(timer);
        }
    }

    /// Stores the outcome of a waiter; returns the receiver of the notification, and the timer to cancel. `None`: the
    /// waiter was removed, or has an outcome already.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        key: Key,
        outcome: Outcome,
    ) -> Option<(Notification, Option<TimerKey>)> {
        let waiter = self.find(key)?;
        if waiter.stage != Stage::Waiting {
            return None;
        }
        let timer = waiter.timer.take();
        let notification = match waiter.rare.take().map(|rare| *rare) {
            Some(Rare::External(external)) => {
                self.vacate(key);
                Notification::External(external, outcome)
            }
            _ => {
                waiter.stage = Stage::Done;
                waiter.rare = Some(Box::new(Rare::Outcome(outcome)));
                Notification::Task(waiter.waker.take())
            }
        };
        Some((notification, timer))
    }

    /// The fast path of [`complete`](Self::complete) for an answer; returns the payload when it does not apply.
    #[inline(always)]
    pub(crate) fn answer(
        &mut self,
        key: Key,
        payload: Payload,
    ) -> Result<(Option<Waker>, Option<TimerKey>), Payload> {
        match self.find(key) {
            Some(waiter) if waiter.stage == Stage::Waiting && waiter.rare.is_none() => {
                waiter.stage = Stage::Answered;
                waiter.payload = payload;
                Ok((waiter.waker.take(), waiter.timer.take()))
            }
            _ => Err(payload),
        }
    }

    /// Takes the outcome, if there is one, which ends the waiter; otherwise stores `waker`.
    #[inline(always)]
    pub(crate) fn poll(&mut self, key: Key, waker: &Waker) -> Polled {
        let Some(waiter) = self.find(key) else {
            return Polled::Pending;
        };
        match waiter.stage {
            Stage::Answered => {
                let payload = std::mem::take(&mut waiter.payload);
                self.vacate(key);
                Polled::Payload(payload)
            }
            Stage::Waiting => {
                if !waiter
                    .waker
                    .as_ref()
                    .is_some_and(|stored| stored.will_wake(waker))
                {
                    waiter.waker = Some(waker.clone());
                }
                Polled::Pending
            }
            Stage::Done => self.take_outcome(key),
            Stage::Vacant => Polled::Pending,
        }
    }

    #[cold]
    fn take_outcome(&mut self, key: Key) -> Polled {
        let rare = self.find(key).and_then(|waiter| waiter.rare.take());
        self.vacate(key);
        match rare.map(|rare| *rare) {
            Some(Rare::Outcome(outcome)) => Polled::Outcome(outcome),
            _ => Polled::Pending,
        }
    }

    /// Removes a waiter that is no longer polled; returns its timer to cancel.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<TimerKey> {
        let waiter = self.find(key)?;
        let timer = waiter.timer.take();
        waiter.waker = None;
        waiter.rare = None;
        waiter.payload = Payload::default();
        self.vacate(key);
        timer
    }

    /// Removes every waiter of another thread.
    pub(crate) fn drain_external(&mut self) -> Vec<Arc<ExternalWaiter>> {
        let mut external = Vec::new();
        for index in 0..self.slots.len() {
            let waiter = &mut self.slots[index];
            if !waiter
                .rare
                .as_deref()
                .is_some_and(|rare| matches!(rare, Rare::External(_)))
            {
                continue;
            }
            let key = Key::new(waiter.generation, index as u32);
            if let Some(Rare::External(waiter)) = waiter.rare.take().map(|rare| *rare) {
                external.push(waiter);
            }
            waiter.timer = None;
            self.vacate(key);
        }
        external
    }

    /// The number of waiters.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }
}
