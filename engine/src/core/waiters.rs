//! The calls and sleeps of a shard that wait for something, and what they got.

use std::sync::Arc;
use std::task::Waker;

use skyring_codec::wheel::TimerKey;

use crate::core::external::ExternalWaiter;
use crate::core::payload::Payload;
use crate::core::slab::{GENERATION_MAX, Key};
use crate::error::Error;

/// What a waiter got.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The answer to its call.
    Answer(Result<Payload, Error>),
    /// Its time was over: the end of a sleep, or of a call's patience.
    Elapsed,
}

/// What a waiter is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has the slot.
    Vacant,
    Waiting,
    /// The answer to its call lies in `payload`, as for nearly every call.
    Answered,
    /// Any other outcome lies in `rare`.
    Done,
}

/// What few waiters have.
enum Rare {
    /// A caller on another thread, who is given the outcome.
    External(Arc<ExternalWaiter>),
    Outcome(Outcome),
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

/// A slot. Its parts are fields and no states of an enum, so that a waiter's life moves only what it has: moving
/// the largest state about was measured to cost as much as all else. A vacant one holds nothing.
struct Waiter {
    generation: u32,
    stage: Stage,
    /// The next vacant slot, of a vacant one.
    next: u32,
    timer: Option<TimerKey>,
    /// Of a future of this shard, which polls for the outcome.
    waker: Option<Waker>,
    payload: Payload,
    rare: Option<Box<Rare>>,
}

/// Whom to tell that a waiter has its outcome.
pub(crate) enum Notice {
    Task(Option<Waker>),
    External(Arc<ExternalWaiter>, Outcome),
}

/// No slot.
const NONE: u32 = u32::MAX;

/// All waiters of a shard, under keys with a generation. An answer to one that is gone is dropped, and said to be
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
    /// A new waiter of this shard, without a timer.
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
        // So many at once are impossible: memory ends first.
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

    /// A new waiter for a caller on another thread.
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

    /// Makes a slot vacant that was found under this key, and that holds nothing any more.
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

    /// Remembers the timer that limits a waiter, so that its end cancels it.
    #[inline]
    pub(crate) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(waiter) = self.find(key) {
            waiter.timer = Some(timer);
        }
    }

    /// Gives a waiter its outcome; says whom to tell, and which timer to cancel. `None`: it is gone, or has
    /// an outcome already.
    #[inline]
    pub(crate) fn complete(&mut self, key: Key, outcome: Outcome) -> Option<(Notice, Option<TimerKey>)> {
        let waiter = self.find(key)?;
        if waiter.stage != Stage::Waiting {
            return None;
        }
        let timer = waiter.timer.take();
        let notice = match waiter.rare.take().map(|rare| *rare) {
            Some(Rare::External(external)) => {
                self.vacate(key);
                Notice::External(external, outcome)
            }
            _ => {
                waiter.stage = Stage::Done;
                waiter.rare = Some(Box::new(Rare::Outcome(outcome)));
                Notice::Task(waiter.waker.take())
            }
        };
        Some((notice, timer))
    }

    /// Gives a waiter the answer to its call, as [`complete`](Self::complete) does; the payload comes back if that
    /// has to do it.
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

    /// The outcome, if there is one, which ends the waiter; else keeps `waker` for it.
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
                if !waiter.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
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

    /// Ends a waiter that nobody polls any more; gives back its timer to cancel.
    #[inline]
    pub(crate) fn forget(&mut self, key: Key) -> Option<TimerKey> {
        let waiter = self.find(key)?;
        let timer = waiter.timer.take();
        waiter.waker = None;
        waiter.rare = None;
        waiter.payload = Payload::default();
        self.vacate(key);
        timer
    }

    /// Takes every waiter of another thread out.
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

    /// Waiters now.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }
}
