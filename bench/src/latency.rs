//! Latencies: how they are recorded, and their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a microsecond.
const NANOSECONDS: f64 = 1_000.0;

/// The longest latency that is distinguished from longer ones, in nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the calls took no longer.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 99 of a hundred took no longer.
    pub p99: f64,
    /// 999 of a thousand took no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// An empty histogram of nanoseconds, exact to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("constants that the library allows")
}

/// A time in the unit of the histogram.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Counts a call that took `time`.
#[inline]
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(nanoseconds(time));
}

impl Latency {
    /// The percentiles of a histogram of nanoseconds; all 0 when it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / NANOSECONDS;
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / NANOSECONDS,
        }
    }

    /// One JSON object, on one line.
    pub(crate) fn to_json(self) -> String {
        format!(
            r#"{{"p50":{:.3},"p90":{:.3},"p99":{:.3},"p999":{:.3},"max":{:.3}}}"#,
            self.p50, self.p90, self.p99, self.p999, self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_nanoseconds_reads_as_microseconds() {
        let mut latencies = histogram();
        for microseconds in 1..=1_000u64 {
            latencies.saturating_record(microseconds * 1_000);
        }
        let read = Latency::of(&latencies);
        for (found, expected) in [
            (read.p50, 500.0),
            (read.p90, 900.0),
            (read.p99, 990.0),
            (read.max, 1_000.0),
        ] {
            assert!(
                (found - expected).abs() <= expected / 500.0,
                "{found} for {expected}"
            );
        }
    }

    #[test]
    fn every_latency_is_recorded_to_a_thousandth() {
        for exponent in 0..40u32 {
            for step in 0..16u64 {
                let latency = ((16 + step) << exponent >> 4).min(LATENCY_NS_MAX);
                let mut latencies = histogram();
                record(&mut latencies, Duration::from_nanos(latency));
                let read = latencies.value_at_quantile(0.5);
                assert!(
                    read.abs_diff(latency) * 1_000 <= latency.max(1_000),
                    "{read} for {latency}"
                );
            }
        }
    }

    #[test]
    fn a_latency_past_the_longest_is_counted_as_the_longest() {
        let mut latencies = histogram();
        latencies.saturating_record(u64::MAX);
        assert_eq!(latencies.len(), 1);
        assert!(Latency::of(&latencies).max >= 1e8);
    }
}
