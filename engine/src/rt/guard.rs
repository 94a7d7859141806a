//! Finds sleeps that should not have been: a shard that slept although it had work.
//!
//! Two ways to lose a wake-up exist (see the module [`rt`](super)): a doorbell that was not rung, and an
//! executor that parks with tasks to run. Both end at the next guard tick, a slow timer per shard. Work
//! that was picked up late is put down to a lost sleep only if the thread was truly idle meanwhile:
//! neither running nor waiting for its processor, which a loaded machine makes it do often enough.
//!
//! Some time of a busy thread looks idle, because the system counts it for the processor and not for the thread: interrupts,
//! and a hypervisor that takes the processor away. It is a small part, so a lost sleep is one that took more than half of the
//! time that the work has waited. A system call that blocks in a handler, such as a read of a file, looks idle too.

use std::cell::Cell;
use std::time::{Duration, Instant};

#[cfg(feature = "testing")]
use super::Runtime;
use super::sys;

/// Time between two guard ticks, and so the longest that a lost sleep lasts.
pub(crate) const GUARD_TICK: Duration = Duration::from_millis(100);

/// Work that waited longer than this in an idle thread was not woken by its request.
const LATE: Duration = Duration::from_millis(40);

/// What the thread had done by some moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    busy: Duration,
}

impl Sample {
    fn take() -> Sample {
        #[cfg(feature = "testing")]
        if Runtime::current() == Runtime::Manual {
            // It loses no sleeps, and what the test's thread does meanwhile is not the shard's.
            return Sample {
                at: super::now(),
                busy: Duration::ZERO,
            };
        }
        Sample {
            at: Instant::now(),
            busy: Duration::from_nanos(sys::thread_cpu_ns() + run_queue_ns()),
        }
    }
}

/// Time that this thread has waited for a processor, in nanoseconds; 0 where the kernel does not say.
fn run_queue_ns() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// Judges late pick-ups on one shard.
pub(crate) struct Guard {
    sample: Cell<Sample>,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
            sample: Cell::new(Sample::take()),
        }
    }
}

impl Guard {
    /// Call at each guard tick.
    pub(crate) fn tick(&self) {
        self.sample.set(Sample::take());
    }

    /// Call when work is picked up that was requested at `requested`. True when a sleep was lost.
    pub(crate) fn is_lost_sleep(&self, requested: Instant) -> bool {
        // Most pick-ups end here: one look at the clock.
        if super::now().saturating_duration_since(requested) < LATE {
            return false;
        }
        #[cfg(feature = "testing")]
        if Runtime::current() == Runtime::Manual {
            return false;
        }
        let before = self.sample.get();
        let now = Sample::take();
        let waited = now.at - requested;
        let span = now.at - before.at;
        let idle = span.saturating_sub(now.busy.saturating_sub(before.busy));
        // Idleness from before the request is no fault.
        idle.saturating_sub(span.saturating_sub(waited)) > waited / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_waited_in_a_sleeping_thread_is_a_lost_sleep() {
        let guard = Guard::default();
        let requested = Instant::now();
        std::thread::sleep(LATE * 2);
        assert!(guard.is_lost_sleep(requested));
    }

    #[test]
    fn work_that_waited_for_a_busy_thread_is_not() {
        let guard = Guard::default();
        let requested = Instant::now();
        while requested.elapsed() < LATE * 2 {
            std::hint::spin_loop();
        }
        assert!(!guard.is_lost_sleep(requested));
    }

    #[test]
    fn work_that_waited_for_a_thread_that_was_idle_for_a_small_part_is_not() {
        let guard = Guard::default();
        let requested = Instant::now();
        while requested.elapsed() < LATE * 5 {
            std::hint::spin_loop();
        }
        std::thread::sleep(LATE * 3 / 4);
        assert!(!guard.is_lost_sleep(requested));
    }

    #[test]
    fn idleness_before_the_request_is_not() {
        let guard = Guard::default();
        std::thread::sleep(LATE * 2);
        let requested = Instant::now();
        while requested.elapsed() < LATE * 2 {
            std::hint::spin_loop();
        }
        assert!(!guard.is_lost_sleep(requested));
    }
}
