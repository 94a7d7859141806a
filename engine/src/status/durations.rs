//! How long something took, as counts of fixed ranges.

use serde::{Deserialize, Serialize};

/// The upper bounds of the ranges, in microseconds; one more range is above the last.
pub const DURATION_BOUNDS_US: [u64; 21] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000,
];

/// How long something took, each time: a histogram with the ranges of [`DURATION_BOUNDS_US`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durations {
    /// How often it took a time of each range; the last is above all bounds. Empty when it has not happened.
    pub counts: Vec<u64>,
    /// The sum of the times, in nanoseconds.
    pub sum_ns: u64,
}

impl Durations {
    /// The range that a time is in, as an index of [`counts`](Durations::counts).
    pub fn range_of(nanoseconds: u64) -> usize {
        let microseconds = nanoseconds.div_ceil(1_000);
        DURATION_BOUNDS_US.partition_point(|bound| *bound < microseconds)
    }

    /// How often it happened.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean, in microseconds; `None` when it has not happened.
    pub fn mean_us(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum_ns as f64 / 1_000.0 / count as f64)
    }

    /// The time below which this share of them is, 0 to 1, in microseconds: between the bounds of its range in proportion.
    /// `None` when it has not happened. A time above the last bound is given as that bound.
    pub fn percentile_us(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (share.clamp(0.0, 1.0) * count as f64).max(1.0);
        let mut below = 0.0;
        for (range, in_range) in self.counts.iter().enumerate() {
            let reached = below + *in_range as f64;
            if *in_range > 0 && reached >= wanted {
                let last = DURATION_BOUNDS_US[DURATION_BOUNDS_US.len() - 1];
                let upper = DURATION_BOUNDS_US.get(range).copied().unwrap_or(last) as f64;
                let lower = match range {
                    0 => 0.0,
                    _ => DURATION_BOUNDS_US.get(range - 1).copied().unwrap_or(last) as f64,
                };
                return Some(lower + (upper - lower) * ((wanted - below) / *in_range as f64));
            }
            below = reached;
        }
        None
    }

    /// Adds the times of another one.
    pub fn add(&mut self, other: &Durations) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_ns += other.sum_ns;
    }

    /// What happened since an earlier moment, whose times these are.
    #[must_use]
    pub fn since(&self, earlier: &Durations) -> Durations {
        let before = |range: usize| earlier.counts.get(range).copied().unwrap_or(0);
        let counts = self.counts.iter().enumerate();
        Durations {
            counts: counts
                .map(|(range, count)| count.saturating_sub(before(range)))
                .collect(),
            sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(times_us: &[u64]) -> Durations {
        let mut durations = Durations {
            counts: vec![0; DURATION_BOUNDS_US.len() + 1],
            sum_ns: 0,
        };
        for time in times_us {
            durations.counts[Durations::range_of(time * 1_000)] += 1;
            durations.sum_ns += time * 1_000;
        }
        durations
    }

    #[test]
    fn a_time_is_in_the_range_whose_bound_it_does_not_pass() {
        for (nanoseconds, range) in [(0, 0), (1_000, 0), (1_001, 1), (2_000, 1), (5_000_000_000, 20)] {
            assert_eq!(Durations::range_of(nanoseconds), range, "{nanoseconds}");
        }
        assert_eq!(Durations::range_of(u64::MAX), DURATION_BOUNDS_US.len());
    }

    #[test]
    fn percentiles_lie_in_the_range_of_the_time_that_they_are() {
        let all = durations(&[1, 15, 15, 15, 15, 15, 15, 15, 15, 900]);
        let middle = all.percentile_us(0.5).unwrap();
        assert!((10.0..=20.0).contains(&middle), "{middle}");
        let last = all.percentile_us(1.0).unwrap();
        assert!((500.0..=1_000.0).contains(&last), "{last}");
        assert_eq!(all.mean_us(), Some(102.1));
        assert_eq!(durations(&[]).percentile_us(0.5), None);
        assert_eq!(durations(&[9_000_000]).percentile_us(0.5), Some(5_000_000.0));
    }

    #[test]
    fn a_difference_has_only_what_came_since() {
        let (before, after) = (durations(&[3]), durations(&[3, 3, 40]));
        let between = after.since(&before);
        assert_eq!((between.count(), between.sum_ns), (2, 43_000));
        let mut sum = before.clone();
        sum.add(&between);
        assert_eq!(sum, after);
        assert_eq!(after.since(&Durations::default()), after);
    }
}
