//! Answered calls a second over time.

use std::time::{Duration, Instant};

/// Most figures of one load; past them two neighbours become one.
pub const RATES_MAX: usize = 512;

/// Time between two figures at first.
const INTERVAL: Duration = Duration::from_millis(100);

/// Calls a second in one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// When the interval ended, in seconds from the beginning of the warm-up.
    pub seconds: f64,
    /// Calls a second in it.
    pub calls_per_second: f64,
}

/// The numbers of answered calls over time.
pub(super) struct Rates {
    started: Instant,
    /// Later calls are not recorded.
    time_max: Duration,
    interval: Duration,
    recorded: Vec<(Duration, u64)>,
}

impl Rates {
    pub(super) fn start(time_max: Duration) -> Rates {
        Rates {
            started: Instant::now(),
            time_max,
            interval: INTERVAL,
            recorded: vec![(Duration::ZERO, 0)],
        }
    }

    /// Records the number of calls that were answered until now.
    pub(super) fn record(&mut self, calls: u64) {
        self.record_at(self.started.elapsed(), calls);
    }

    fn record_at(&mut self, elapsed: Duration, calls: u64) {
        let last = self.recorded.last().map_or(Duration::ZERO, |(last, _)| *last);
        if elapsed > self.time_max || elapsed < last + self.interval {
            return;
        }
        self.recorded.push((elapsed, calls));
        if self.recorded.len() > RATES_MAX {
            self.interval *= 2;
            let mut place = 0;
            self.recorded.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
    }

    pub(super) fn read(&self) -> Vec<Rate> {
        let pairs = self.recorded.iter().zip(self.recorded.iter().skip(1));
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
            rates.record_at(INTERVAL * tenth as u32, tenth * 100);
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
    fn calls_after_the_end_are_not_recorded() {
        let mut rates = Rates::start(Duration::from_secs(1));
        rates.record_at(Duration::from_millis(500), 5);
        rates.record_at(Duration::from_millis(1_500), 5);
        assert_eq!(
            rates.read(),
            [Rate {
                seconds: 0.5,
                calls_per_second: 10.0
            }]
        );
    }
}
