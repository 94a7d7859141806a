//! How many calls a second were answered when.

use std::time::{Duration, Instant};

/// Most figures that are kept of one load; with more, two neighbours become one.
pub const RATES_MAX: usize = 512;

/// Time between two figures at first.
const INTERVAL: Duration = Duration::from_millis(100);

/// Calls a second in the interval that ended then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// When the interval ended, in seconds from the beginning of the warm-up.
    pub seconds: f64,
    /// Calls a second in it.
    pub calls_per_second: f64,
}

/// Calls that were answered by when.
pub(super) struct Rates {
    started: Instant,
    /// What comes later is not looked at.
    time_max: Duration,
    interval: Duration,
    seen: Vec<(Duration, u64)>,
}

impl Rates {
    pub(super) fn start(time_max: Duration) -> Rates {
        Rates {
            started: Instant::now(),
            time_max,
            interval: INTERVAL,
            seen: vec![(Duration::ZERO, 0)],
        }
    }

    /// So many calls were answered by now.
    pub(super) fn look(&mut self, calls: u64) {
        self.saw(self.started.elapsed(), calls);
    }

    fn saw(&mut self, elapsed: Duration, calls: u64) {
        let last = self.seen.last().map_or(Duration::ZERO, |(last, _)| *last);
        if elapsed > self.time_max || elapsed < last + self.interval {
            return;
        }
        self.seen.push((elapsed, calls));
        if self.seen.len() > RATES_MAX {
            self.interval *= 2;
            let mut place = 0;
            self.seen.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
    }

    pub(super) fn read(&self) -> Vec<Rate> {
        let pairs = self.seen.iter().zip(self.seen.iter().skip(1));
        pairs
            .map(|((from, before), (until, after))| Rate {
                seconds: until.as_secs_f64(),
                calls_per_second: (after - before) as f64 / (*until - *from).as_secs_f64(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_a_load_is_the_figures_are_few_and_add_up() {
        let hour = Duration::from_secs(3_600);
        let mut rates = Rates::start(hour);
        for tenth in 1..=36_000u64 {
            rates.saw(INTERVAL * tenth as u32, tenth * 100);
        }
        let read = rates.read();
        assert!(
            read.len() < RATES_MAX && read.len() > RATES_MAX / 4,
            "{}",
            read.len()
        );
        for rate in &read {
            assert!((rate.calls_per_second - 1_000.0).abs() < 1e-6, "{rate:?}");
        }
        assert!(read.last().is_some_and(|last| last.seconds > 3_500.0));
    }

    #[test]
    fn what_comes_after_the_end_is_not_looked_at() {
        let mut rates = Rates::start(Duration::from_secs(1));
        rates.saw(Duration::from_millis(500), 5);
        rates.saw(Duration::from_millis(1_500), 5);
        assert_eq!(
            rates.read(),
            [Rate {
                seconds: 0.5,
                calls_per_second: 10.0
            }]
        );
    }
}
