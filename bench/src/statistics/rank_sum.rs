//! The shift between two unpaired samples.
//!
//! The rank-sum test (Mann and Whitney, 1947) counts how often a value of the second sample is greater than one of the
//! first. Its distribution is exact for samples of any size when both are of one distribution. The interval is that of
//! Hodges and Lehmann, "Estimates of location based on rank tests", 1963: the differences between all pairs of values,
//! in order, without so many at each end as the test allows by chance.

use super::interval::Interval;
use crate::median::median;

/// Most values of a sample that are used; the exact distribution of larger ones takes too long.
const SAMPLE_MAX: usize = 100;

/// The shift of the second sample against the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The median of all differences.
    pub estimate: f64,
    /// Its interval; without ends when the samples are too small for it.
    pub interval: Interval,
}

/// The shift, and its interval at that error rate. Values past a hundred a side are left out. `None` when a sample is empty.
pub fn shift_interval(first: &[f64], second: &[f64], error_rate: f64) -> Option<Shift> {
    let (first, second) = (
        &first[..first.len().min(SAMPLE_MAX)],
        &second[..second.len().min(SAMPLE_MAX)],
    );
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let mut differences: Vec<f64> = second
        .iter()
        .flat_map(|after| first.iter().map(move |before| after - before))
        .collect();
    differences.sort_by(f64::total_cmp);
    let interval = match left_out(first.len(), second.len(), error_rate) {
        Some(count) => Interval {
            low: differences[count],
            high: differences[differences.len() - 1 - count],
        },
        None => Interval::ALL,
    };
    Some(Shift {
        estimate: median(differences),
        interval,
    })
}

/// How many differences are left out at each end: the largest count `k` such that the chance of `k` or fewer is at most
/// half of the error rate. `None` when even 0 is more likely than that.
fn left_out(first: usize, second: usize, error_rate: f64) -> Option<usize> {
    let chances = rank_sum_chances(first, second);
    let mut sum = 0.0;
    let mut fitting = None;
    for (count, chance) in chances.iter().enumerate() {
        sum += chance;
        if sum > error_rate / 2.0 {
            break;
        }
        fitting = Some(count);
    }
    fitting
}

/// The chances that 0, 1, 2 and so on of all pairs have the greater value in the second sample, when both samples are of
/// one distribution.
fn rank_sum_chances(first: usize, second: usize) -> Vec<f64> {
    // chances[m] is the distribution for m values of the first sample and as many of the second as were added. The
    // greatest of all values is one of the second's with the chance n / (m + n), and then exceeds all m.
    let mut chances: Vec<Vec<f64>> = (0..=first).map(|_| vec![1.0]).collect();
    for n in 1..=second {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for m in 1..=first {
            let mut now = vec![0.0; m * n + 1];
            let all = (m + n) as f64;
            for (count, chance) in chances[m].iter().enumerate() {
                now[count + m] += chance * n as f64 / all;
            }
            for (count, chance) in next[m - 1].iter().enumerate() {
                now[count] += chance * m as f64 / all;
            }
            next.push(now);
        }
        chances = next;
    }
    chances.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chances_are_those_of_counted_arrangements() {
        // All ways to place 3 of 7 ranks.
        let mut counts = vec![0u32; 13];
        for places in 0..1u32 << 7 {
            if places.count_ones() == 4 {
                let mut greater = 0;
                for second in (0..7).filter(|place| places >> place & 1 == 1) {
                    greater += (0..second).filter(|place| places >> place & 1 == 0).count();
                }
                counts[greater] += 1;
            }
        }
        let chances = rank_sum_chances(3, 4);
        assert_eq!(chances.len(), counts.len());
        for (chance, count) in chances.iter().zip(counts) {
            assert!((chance - f64::from(count) / 35.0).abs() < 1e-12);
        }
        let sum: f64 = rank_sum_chances(100, 100).iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn one_value_on_each_side_says_nothing() {
        let shift = shift_interval(&[1.0], &[2.0], 0.05).unwrap();
        assert_eq!(shift.interval, Interval::ALL);
        assert_eq!(shift.estimate, 1.0);
        assert_eq!(shift_interval(&[], &[2.0], 0.05), None);
        assert_eq!(shift_interval(&[1.0], &[], 0.05), None);
    }

    #[test]
    fn four_values_on_each_side_that_do_not_overlap_are_a_difference() {
        let shift = shift_interval(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 0.05).unwrap();
        assert_eq!(shift.estimate, 4.0);
        assert_eq!((shift.interval.low, shift.interval.high), (1.0, 7.0));
        let shift = shift_interval(&[1.0, 2.0, 3.0], &[5.0, 6.0, 7.0], 0.05).unwrap();
        assert_eq!(shift.interval, Interval::ALL);
    }
}
