//! The interval in which the median of a series lies, valid after every observation.

use super::sign_test::heads_min;

/// A ratio's interval, or that of its logarithm. Without enough observations it has no ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Every number.
    pub const ALL: Interval = Interval {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// Whether a number lies in it.
    pub fn contains(&self, number: f64) -> bool {
        self.low <= number && number <= self.high
    }

    /// The interval of the exponentials.
    pub fn exp(&self) -> Interval {
        Interval {
            low: self.low.exp(),
            high: self.high.exp(),
        }
    }
}

/// The values that the sign test does not refute as the median, at that error rate over *all* lengths of the series. A
/// value that is observed several times counts neither as more nor as less than itself, so ties widen it.
pub fn median_interval(values: &[f64], error_rate: f64) -> Interval {
    let Some(heads) = heads_min(values.len(), error_rate) else {
        return Interval::ALL;
    };
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Less than the lower end is refuted: at least `heads` of the values are greater.
    let (low, high) = (sorted.get(sorted.len() - heads), sorted.get(heads - 1));
    match (low, high) {
        (Some(&low), Some(&high)) => Interval { low, high },
        _ => Interval::ALL,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_values_have_no_interval_and_many_have_a_narrow_one() {
        assert_eq!(median_interval(&[], 0.05), Interval::ALL);
        assert_eq!(median_interval(&[1.0; 5], 0.05), Interval::ALL);
        let values: Vec<f64> = (0..1_001).map(f64::from).collect();
        let interval = median_interval(&values, 0.05);
        assert!(interval.contains(500.0), "{interval:?}");
        assert!((440.0..480.0).contains(&interval.low), "{interval:?}");
        assert_eq!(interval.low + interval.high, 1_000.0);
    }

    #[test]
    fn equal_values_are_a_point() {
        let interval = median_interval(&[3.0; 40], 0.05);
        assert_eq!((interval.low, interval.high), (3.0, 3.0));
    }

    proptest! {
        #[test]
        fn an_interval_contains_the_median_of_its_values(
            values in prop::collection::vec(-1e6..1e6f64, 1..300),
            error_rate in 0.001..0.2f64,
        ) {
            let interval = median_interval(&values, error_rate);
            prop_assert!(interval.contains(crate::median::median(values)));
        }

        #[test]
        fn it_moves_with_its_values_and_widens_with_certainty(
            values in prop::collection::vec(-1e3..1e3f64, 1..200),
            shift in -1e3..1e3f64,
        ) {
            let interval = median_interval(&values, 0.05);
            let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
            let moved = median_interval(&moved, 0.05);
            if interval != Interval::ALL {
                prop_assert!((moved.low - interval.low - shift).abs() < 1e-9);
                prop_assert!((moved.high - interval.high - shift).abs() < 1e-9);
            }
            let surer = median_interval(&values, 0.005);
            prop_assert!(surer.low <= interval.low && surer.high >= interval.high);
        }

        #[test]
        fn one_value_however_large_moves_an_end_by_one_place(
            values in prop::collection::vec(-1e3..1e3f64, 20..200),
            wild in prop::sample::select(vec![1e12, -1e12, f64::MAX, f64::MIN]),
        ) {
            let mut disturbed = values.clone();
            disturbed[0] = wild;
            let interval = median_interval(&disturbed, 0.05);
            prop_assert!(interval.low <= 1e3 && interval.high >= -1e3);
            if disturbed.len() > 30 {
                prop_assert!(interval.low >= -1e3 && interval.high <= 1e3, "{interval:?}");
            }
        }

        #[test]
        fn order_does_not_matter(values in prop::collection::vec(-1e3..1e3f64, 1..100)) {
            let mut reversed = values.clone();
            reversed.reverse();
            prop_assert_eq!(median_interval(&values, 0.05), median_interval(&reversed, 0.05));
        }
    }
}
