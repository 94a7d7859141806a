//! What a shard counts of its own work, and how long work takes, from a sample.
//!
//! A clock is read for at most one piece of work of each kind in a millisecond, and for [`SAMPLES_PER_MS_MAX`] of a shard:
//! so the cost is bounded whatever the load is. A piece of work that is timed counts for all since the last one. At a low
//! load each is timed.
//!
//! Invariant: only the shard's own thread touches these counters.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use skyring_codec::Millis;

use crate::rt;
use crate::status::{DURATION_BOUNDS_US, Durations};

/// Pieces of work that one shard times in a millisecond.
pub(crate) const SAMPLES_PER_MS_MAX: u32 = 16;

/// The ranges of times.
const RANGES: usize = DURATION_BOUNDS_US.len() + 1;

/// One kind of work: how often it was done, and how long it took.
#[derive(Default)]
pub(crate) struct Work {
    done: Cell<u64>,
    /// How much of `done` the times stand for.
    timed: Cell<u64>,
    sampled_at: Cell<Millis>,
    sum_ns: Cell<u64>,
    /// Allocated with the first sample: many services never do anything.
    counts: RefCell<Option<Box<[u64; RANGES]>>>,
}

impl Work {
    /// How often it was done.
    pub(crate) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Counts one piece of work.
    #[inline(always)]
    pub(crate) fn count(&self) {
        self.done.set(self.done.get() + 1);
    }

    /// Records how long a piece of work took.
    #[cold]
    pub(crate) fn record(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let done = self.done.get();
        let weight = done - self.timed.replace(done);
        let mut counts = self.counts.borrow_mut();
        let counts = counts.get_or_insert_with(|| Box::new([0; RANGES]));
        counts[Durations::range_of(nanoseconds)] += weight;
        let sum = self.sum_ns.get();
        self.sum_ns
            .set(sum.saturating_add(nanoseconds.saturating_mul(weight)));
    }

    /// The sum of its times, in nanoseconds.
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// How long it took.
    pub(crate) fn durations(&self) -> Durations {
        let counts = self.counts.borrow();
        Durations {
            counts: counts.as_ref().map(|counts| counts.to_vec()).unwrap_or_default(),
            sum_ns: self.sum_ns.get(),
        }
    }
}

/// The counters of one shard.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) turns: Cell<u64>,
    pub(crate) messages_crossed: Cell<u64>,
    pub(crate) sleeps_rescued: Cell<u64>,
    /// The millisecond of the last sample, and the samples that are left in it.
    sampled_at: Cell<Millis>,
    samples_left: Cell<u32>,
}

impl Figures {
    /// Begins a piece of work at a time of the shard; the time of its beginning if it is to be timed, for [`Work::record`].
    #[inline(always)]
    pub(crate) fn begin(&self, work: &Work, now: Millis) -> Option<Instant> {
        work.count();
        if work.sampled_at.get() == now {
            return None;
        }
        self.begin_sample(work, now)
    }

    #[cold]
    #[inline(never)]
    fn begin_sample(&self, work: &Work, now: Millis) -> Option<Instant> {
        if self.sampled_at.replace(now) != now {
            self.samples_left.set(SAMPLES_PER_MS_MAX);
        }
        let left = self.samples_left.get().checked_sub(1)?;
        self.samples_left.set(left);
        work.sampled_at.set(now);
        Some(rt::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timed_piece_of_work_counts_for_all_since_the_last_one() {
        let work = Work::default();
        assert_eq!(work.durations(), Durations::default());
        work.count();
        work.record(Duration::from_micros(3));
        for _ in 0..9 {
            work.count();
        }
        work.record(Duration::from_micros(100));
        let durations = work.durations();
        assert_eq!(
            (work.done(), durations.count(), durations.sum_ns),
            (10, 10, 903_000)
        );
        assert_eq!(
            (
                durations.counts[Durations::range_of(3_000)],
                durations.counts[Durations::range_of(100_000)]
            ),
            (1, 9)
        );
    }
}
