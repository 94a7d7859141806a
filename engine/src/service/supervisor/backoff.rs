//! The delay before a restart: exponential, with jitter.

use std::time::Duration;

use skyring_codec::Millis;

use crate::core::clock::whole_milliseconds;

/// The longest delay before a restart, in milliseconds.
pub const RESTART_DELAY_MS_MAX: u64 = 3_600_000;

/// How long a supervisor waits before it restarts a child: the first time `first`, then twice as long each time, at most
/// `longest`, until the child has run for the supervisor's period. Each delay is shortened by a random part, up to half,
/// so that many services that ended together do not start together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first_ms: Millis,
    longest_ms: Millis,
}

impl Default for Backoff {
    /// From 50 ms to 10 s.
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(10))
    }
}

impl Backoff {
    /// Delays in whole milliseconds, an hour at most; zero = no delay.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        let first_ms = whole_milliseconds(first).min(RESTART_DELAY_MS_MAX);
        let longest_ms = whole_milliseconds(longest)
            .min(RESTART_DELAY_MS_MAX)
            .max(first_ms);
        Backoff { first_ms, longest_ms }
    }

    /// The delay before the restart with this number in a row, from 1. `random` is any number.
    pub(super) fn delay_ms(&self, attempt: u32, random: u64) -> Millis {
        let doublings = attempt.saturating_sub(1).min(u64::BITS - 1);
        let factor = 1u64 << doublings.min(40);
        let delay_ms = self.first_ms.saturating_mul(factor).min(self.longest_ms);
        delay_ms - random % (delay_ms / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_lose_at_most_half() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let full: Vec<Millis> = (1..7).map(|attempt| backoff.delay_ms(attempt, 0)).collect();
        assert_eq!(full, [100, 200, 400, 800, 1000, 1000]);
        for attempt in [1, 2, 5, 63, 64, 65, u32::MAX] {
            for random in [1, 7, 50, 51, 500, 501, u64::MAX] {
                let delay_ms = backoff.delay_ms(attempt, random);
                let full_ms = backoff.delay_ms(attempt, 0);
                assert!(
                    delay_ms <= full_ms && delay_ms >= full_ms / 2,
                    "{attempt} {random}"
                );
            }
        }
        assert_eq!(Backoff::new(Duration::ZERO, Duration::ZERO).delay_ms(9, 5), 0);
    }
}
