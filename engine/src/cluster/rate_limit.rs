//! A rate limit: a first burst, then an even rate.
//!
//! Invariant: in any second it permits at most one burst and one second's worth.

use std::cell::Cell;

use skyring_codec::Millis;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;

/// A rate, and how much of it is used.
#[derive(Debug)]
pub(in crate::cluster) struct RateLimit {
    /// The time between two permits at the even rate, in microseconds.
    interval_us: u64,
    /// How far permits may run ahead of the even rate, in microseconds.
    burst_us: u64,
    /// When the even rate permits the next one, in microseconds.
    next_us: Cell<u64>,
}

impl RateLimit {
    /// `per_second` permits a second, and `burst` at once after a pause.
    pub(in crate::cluster) fn new(per_second: u32, burst: u32) -> RateLimit {
        let interval_us = (SECOND_US / u64::from(per_second.max(1))).max(1);
        RateLimit {
            interval_us,
            burst_us: interval_us * u64::from(burst.max(1) - 1),
            next_us: Cell::new(0),
        }
    }

    /// Reserves the next permit; returns how long to wait for it, in milliseconds.
    pub(in crate::cluster) fn reserve(&self, now: Millis) -> Millis {
        let now_us = now * 1_000;
        let next = self.next_us.get().max(now_us);
        self.next_us.set(next + self.interval_us);
        next.saturating_sub(self.burst_us)
            .saturating_sub(now_us)
            .div_ceil(1_000)
    }

    /// Takes a permit if one is available; returns whether it did.
    pub(in crate::cluster) fn try_acquire(&self, now: Millis) -> bool {
        let now_us = now * 1_000;
        let next = self.next_us.get().max(now_us);
        let is_available = next <= now_us + self.burst_us;
        if is_available {
            self.next_us.set(next + self.interval_us);
        }
        is_available
    }

    /// Gives a permit back, as if it had not been taken.
    pub(in crate::cluster) fn refund(&self) {
        self.next_us
            .set(self.next_us.get().saturating_sub(self.interval_us));
    }

    /// Whether the whole burst is available.
    pub(in crate::cluster) fn is_fully_available(&self, now: Millis) -> bool {
        self.next_us.get() <= now * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let limit = RateLimit::new(100, 5);
        let waits: Vec<Millis> = (0..9).map(|_| limit.reserve(7)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20, 30, 40]);
        // A second later the whole burst is available.
        let waits: Vec<Millis> = (0..7).map(|_| limit.reserve(1_007)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 10, 20]);
    }

    #[test]
    fn a_caller_that_does_not_wait_gets_what_the_rate_allows() {
        let limit = RateLimit::new(1_000, 50);
        let mut permitted = 0;
        for now in 0..10_000 {
            for _ in 0..10 {
                permitted += u64::from(limit.try_acquire(now));
            }
        }
        assert!((10_000..=10_050).contains(&permitted), "{permitted}");
        assert!(!limit.is_fully_available(9_999) && limit.is_fully_available(10_050));
    }

    #[test]
    fn permits_that_are_given_back_are_available_again_and_never_more_than_the_burst() {
        let limit = RateLimit::new(4, 10);
        let take_all = |now| (0..100).filter(|_| limit.try_acquire(now)).count();
        assert_eq!(take_all(5_000), 10);
        for _ in 0..3 {
            limit.refund();
        }
        assert_eq!(take_all(5_000), 3);
        for _ in 0..50 {
            limit.refund();
        }
        assert_eq!(take_all(5_000), 10);
    }

    #[test]
    fn odd_rates_do_not_panic() {
        for (per_second, burst) in [(0, 0), (1, 0), (u32::MAX, u32::MAX)] {
            assert!(RateLimit::new(per_second, burst).try_acquire(0));
        }
    }
}
