//! A bucket of tokens: what a client may send in a second, and at once after a pause.

use std::time::Instant;

/// A bucket that fills at a rate, up to what comes in a second. It may be overdrawn, and is empty for so much longer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Tokens at `filled_at`; below zero it is overdrawn.
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: u32, now: Instant) -> Bucket {
        Bucket {
            tokens: f64::from(rate),
            filled_at: now,
        }
    }

    /// Fills it up to now.
    fn fill(&mut self, rate: u32, now: Instant) {
        let rate = f64::from(rate);
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate);
        self.filled_at = now;
    }

    /// Takes tokens, as many as there are or more.
    pub(super) fn take(&mut self, count: usize, rate: u32, now: Instant) {
        self.fill(rate, now);
        self.tokens -= count as f64;
    }

    /// Whether it is overdrawn. A rate of 0 is no limit.
    pub(super) fn is_overdrawn(&mut self, rate: u32, now: Instant) -> bool {
        if rate == 0 {
            return false;
        }
        self.fill(rate, now);
        self.tokens < 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(10, start);
        bucket.take(10, 10, start);
        assert!(!bucket.is_overdrawn(10, start));
        bucket.take(5, 10, start);
        assert!(bucket.is_overdrawn(10, start + Duration::from_millis(490)));
        assert!(!bucket.is_overdrawn(10, start + Duration::from_millis(510)));
        // However long it was unused, it is not fuller than full.
        bucket.take(11, 10, start + Duration::from_secs(3600));
        assert!(bucket.is_overdrawn(10, start + Duration::from_secs(3600)));
        assert!(!bucket.is_overdrawn(0, start));
    }
}
