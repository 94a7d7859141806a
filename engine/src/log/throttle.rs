//! At most one line per interval for a repeating event.

use std::cell::Cell;

/// Decides whether a repeating event is logged this time. Keep one throttle for each kind of event.
///
/// ```
/// use skyring::log::Throttle;
///
/// let refused = Throttle::new(1000);
/// assert_eq!(refused.allow(5000), Some(0)); // log it
/// assert_eq!(refused.allow(5400), None);    // too soon
/// assert_eq!(refused.allow(6000), Some(1)); // log it, with the number of suppressed lines
/// ```
#[derive(Debug)]
pub struct Throttle {
    interval_ms: u64,
    allowed_at_ms: Cell<Option<u64>>,
    suppressed: Cell<u64>,
}

impl Throttle {
    /// A throttle that allows one line per `interval_ms` milliseconds.
    pub const fn new(interval_ms: u64) -> Throttle {
        Throttle {
            interval_ms,
            allowed_at_ms: Cell::new(None),
            suppressed: Cell::new(0),
        }
    }

    /// Whether to log now: `Some`, with the number of suppressed lines since the last `Some`, or `None`.
    ///
    /// `now_ms` is read from a clock that does not go back, in milliseconds from any start.
    pub fn allow(&self, now_ms: u64) -> Option<u64> {
        let early = |allowed_at| now_ms.saturating_sub(allowed_at) < self.interval_ms;
        if self.allowed_at_ms.get().is_some_and(early) {
            self.suppressed.set(self.suppressed.get().saturating_add(1));
            return None;
        }
        self.allowed_at_ms.set(Some(now_ms));
        Some(self.suppressed.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_allowed_at_any_time() {
        assert_eq!(Throttle::new(1000).allow(0), Some(0));
        assert_eq!(Throttle::new(1000).allow(u64::MAX), Some(0));
    }

    #[test]
    fn one_per_interval_is_allowed_and_the_rest_are_counted() {
        let throttle = Throttle::new(100);
        let allowed: Vec<_> = (0..1000).filter_map(|now| throttle.allow(now)).collect();
        assert_eq!(allowed, [0, 99, 99, 99, 99, 99, 99, 99, 99, 99]);
        assert_eq!(throttle.allow(5000), Some(99));
        assert_eq!(throttle.allow(5100), Some(0));
    }

    #[test]
    fn an_interval_of_nothing_allows_everything() {
        let throttle = Throttle::new(0);
        assert_eq!((throttle.allow(7), throttle.allow(7)), (Some(0), Some(0)));
    }
}
