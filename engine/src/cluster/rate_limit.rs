//! How fast something may happen that many would like to do at once: an even rate, after a first burst.
//!
//! Invariant: within any second at most a burst and a second's worth are let through.

use std::cell::Cell;

use skyring_codec::Millis;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;

/// A rate, and how much of it was used.
#[derive(Debug)]
pub(in crate::cluster) struct RateLimit {
    /// The time that one takes at the even rate, in microseconds.
    interval_us: u64,
    /// How far the even rate may be run ahead of.
    burst_us: u64,
    /// When the even rate would have let the next one through.
    next_us: Cell<u64>,
}

impl RateLimit {
    /// So many a second, and as many as `burst` at once after a pause.
    pub(in crate::cluster) fn new(per_second: u32, burst: u32) -> RateLimit {
        let interval_us = (SECOND_US / u64::from(per_second.max(1))).max(1);
        RateLimit {
            interval_us,
            burst_us: interval_us * u64::from(burst.max(1) - 1),
            next_us: Cell::new(0),
        }
    }

    /// Takes the next turn; how long to wait for it, in milliseconds.
    pub(in crate::cluster) fn wait_for_turn(&self, now: Millis) -> Millis {
        let now_us = now * 1_000;
        let next = self.next_us.get().max(now_us);
        self.next_us.set(next + self.interval_us);
        next.saturating_sub(self.burst_us)
            .saturating_sub(now_us)
            .div_ceil(1_000)
    }

    /// Takes a turn that has come; false when none has.
    pub(in crate::cluster) fn try_turn(&self, now: Millis) -> bool {
        let now_us = now * 1_000;
        let next = self.next_us.get().max(now_us);
        let has_come = next <= now_us + self.burst_us;
        if has_come {
            self.next_us.set(next + self.interval_us);
        }
        has_come
    }

    /// Whether nothing of it was used lately, so that it is as good as new.
    pub(in crate::cluster) fn is_rested(&self, now: Millis) -> bool {
        self.next_us.get() <= now * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let pace = RateLimit::new(100, 5);
        let waits: Vec<Millis> = (0..9).map(|_| pace.wait_for_turn(7)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20, 30, 40]);
        // A second later all of it is there again.
        let waits: Vec<Millis> = (0..7).map(|_| pace.wait_for_turn(1_007)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20]);
    }

    #[test]
    fn who_does_not_wait_gets_what_the_rate_allows() {
        let pace = RateLimit::new(1_000, 50);
        let mut let_through = 0;
        for now in 0..10_000 {
            for _ in 0..10 {
                let_through += u64::from(pace.try_turn(now));
            }
        }
        assert!((10_000..=10_050).contains(&let_through), "{let_through}");
        assert!(!pace.is_rested(9_999) && pace.is_rested(10_050));
    }

    #[test]
    fn odd_rates_do_not_panic() {
        for (per_second, burst) in [(0, 0), (1, 0), (u32::MAX, u32::MAX)] {
            assert!(RateLimit::new(per_second, burst).try_turn(0));
        }
    }
}
