//! Where a series changed its level.
//!
//! *The statistic* of a place in a series is how far the ranks of the values before it are from what chance gives, in
//! standard deviations; that of a series is the greatest of all places (Pettitt, "A non-parametric approach to the
//! change-point problem", 1979; standardised by Lausen and Schumacher, "Maximally selected rank statistics", 1992). Ranks,
//! so that one wild value counts as one value.
//!
//! *The test* permutes the series: if nothing changed, each order of the values is as likely as any other (Pitman,
//! "Significance tests which may be applied to samples from any populations", 1937). That needs values which were measured
//! independently of each other, and nothing else.
//!
//! *Several series* are permuted together, and each is compared with the greatest statistic of all of them (Westfall and
//! Young, "Resampling-based multiple testing", 1993). So the error rate is that of any false change in any series, and series
//! that say nearly the same, as throughput and median latency do, cost little.
//!
//! *The place* of a change is the one that leaves the smallest sum of distances from the medians of both sides (least
//! absolute deviations). The greatest statistic is no good for it: of two levels that do not overlap, ranks do not say
//! how far apart they are, and a place nearer to the middle of the series looks better than the right one.
//!
//! *Several changes* are found by division: a series that changed is divided, and each part is tested in the same way
//! (Scott and Knott, "A cluster analysis method for grouping means in the analysis of variance", 1974). Then each change is
//! placed and tested again between its neighbours, because a division of three levels may be within the middle one; what
//! does not pass is dropped. The error rate holds for each of these tests; without any change there is only one.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use super::coin::Coin;

/// Permutations of a test.
const PERMUTATIONS: usize = 999;

/// The chance is estimated from these permutations, so a change must stay below the error rate by so many standard
/// errors of the estimate: at 0.05, by 0.014.
const STANDARD_ERRORS: f64 = 2.0;

/// The least number of values on each side of a change: one value alone is never one.
const SIDE_VALUES_MIN: usize = 2;

/// Most changes that are found in a series.
const CHANGES_MAX: usize = 100;

/// How often changes are placed again between their neighbours, at most.
const REPLACEMENTS_MAX: usize = 10;

/// A change of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The row of the first value after it.
    pub row: usize,
    /// The chance of such a change, or a clearer one, anywhere in any of the series, if there is none in them.
    pub chance: f64,
}

/// The changes of each series, in order, at that error rate. All series have the same rows; a value that is not known is
/// `None`. A change is only looked for at the rows of `places`, in ascending order.
pub fn change_points(
    series: &[Vec<Option<f64>>],
    places: &[usize],
    error_rate: f64,
) -> Vec<Vec<ChangePoint>> {
    let rows = series.iter().map(Vec::len).max().unwrap_or(0);
    let standard_error = (error_rate * (1.0 - error_rate) / PERMUTATIONS as f64).sqrt();
    let error_rate = error_rate - STANDARD_ERRORS * standard_error;
    let mut search = Search {
        series,
        places,
        chances: BTreeMap::new(),
    };
    (0..series.len())
        .map(|index| search.changes(index, rows, error_rate))
        .collect()
}

/// The greatest statistics of all series in each permutation, for the ranges of rows that were tested.
struct Search<'a> {
    series: &'a [Vec<Option<f64>>],
    places: &'a [usize],
    chances: BTreeMap<(usize, usize), Vec<f64>>,
}

impl Search<'_> {
    /// Divides one series until no part has a change, and then tests each change between its neighbours.
    fn changes(&mut self, index: usize, rows: usize, error_rate: f64) -> Vec<ChangePoint> {
        let mut found = Vec::new();
        let mut parts = vec![(0, rows)];
        while let Some((from, to)) = parts.pop() {
            let change = self.change(index, (from, to));
            if let Some(change) = change.filter(|change| change.chance <= error_rate)
                && found.len() < CHANGES_MAX
            {
                found.push(change);
                parts.extend([(from, change.row), (change.row, to)]);
            }
        }
        found.sort_by_key(|change| change.row);
        for _ in 0..REPLACEMENTS_MAX {
            let before = found.clone();
            let mut number = 0;
            while number < found.len() {
                let from = number.checked_sub(1).map_or(0, |before| found[before].row);
                let to = found.get(number + 1).map_or(rows, |next| next.row);
                let again = self.change(index, (from, to));
                match again.filter(|change| change.chance <= error_rate) {
                    Some(change) => {
                        found[number] = change;
                        number += 1;
                    }
                    None => {
                        found.remove(number);
                    }
                }
            }
            if found == before {
                break;
            }
        }
        found
    }

    /// The clearest change of one series within a range, with its chance.
    fn change(&mut self, index: usize, range: (usize, usize)) -> Option<ChangePoint> {
        let part = Part::new(&self.series[index], self.places, range)?;
        let statistic = part.greatest(part.ranks.iter().copied());
        let chance = self.chance(range, statistic);
        let row = part.place()?;
        Some(ChangePoint { row, chance })
    }

    /// The part of all permutations, and of the series as it is, in which any series has such a statistic.
    fn chance(&mut self, range: (usize, usize), statistic: f64) -> f64 {
        let (series, places) = (self.series, self.places);
        let permuted = self
            .chances
            .entry(range)
            .or_insert_with(|| permuted(series, places, range));
        // Equal ones count as greater, whatever the last digit of their sums is.
        let as_great = permuted
            .iter()
            .filter(|greatest| **greatest >= statistic - 1e-9)
            .count();
        (as_great + 1) as f64 / (permuted.len() + 1) as f64
    }
}

/// For each permutation of the rows the greatest statistic of all series. The same values give the same permutations; other
/// values give others, because one set of permutations for all would have an error rate of its own.
fn permuted(series: &[Vec<Option<f64>>], places: &[usize], (from, to): (usize, usize)) -> Vec<f64> {
    let parts: Vec<Part> = series
        .iter()
        .filter_map(|values| Part::new(values, places, (from, to)))
        .collect();
    let mut coin = Coin::new(parts.iter().fold(0, |seed, part| seed ^ part.seed()));
    let mut order: Vec<usize> = (0..to - from).collect();
    let statistics = (0..PERMUTATIONS).map(|_| {
        for last in (1..order.len()).rev() {
            order.swap(last, (coin.fraction() * (last + 1) as f64) as usize);
        }
        parts.iter().fold(0.0, |greatest: f64, part| {
            let ranks = order
                .iter()
                .filter_map(|row| part.rank_of_row[*row].map(|known| part.ranks[known]));
            greatest.max(part.greatest(ranks))
        })
    });
    statistics.collect()
}

/// The known values of a series within a range of rows.
struct Part {
    /// Them, in the order of the rows.
    values: Vec<f64>,
    /// Their ranks, with the mean of all ranks as 0.
    ranks: Vec<f64>,
    /// For each row of the range, the place among the ranks.
    rank_of_row: Vec<Option<usize>>,
    /// Where a change may be: how many values are before it, and its row.
    places: Vec<(usize, usize)>,
    /// The variance of the ranks, ties included.
    variance: f64,
}

impl Part {
    /// `None` when there is no place for a change, or all values are equal.
    fn new(values: &[Option<f64>], places: &[usize], (from, to): (usize, usize)) -> Option<Part> {
        let rows = values.get(from..to.min(values.len()))?;
        let mut count = 0;
        let mut before = Vec::with_capacity(rows.len());
        let rank_of_row: Vec<Option<usize>> = (0..to - from)
            .map(|row| {
                before.push(count);
                rows.get(row).copied().flatten().map(|_| {
                    count += 1;
                    count - 1
                })
            })
            .collect();
        let within = places.iter().filter(|place| (from..to).contains(*place));
        let mut fitting: Vec<(usize, usize)> = within
            .map(|place| (before[place - from], *place))
            .filter(|(before, _)| (SIDE_VALUES_MIN..=count.saturating_sub(SIDE_VALUES_MIN)).contains(before))
            .collect();
        // Of rows between which nothing is known, the last one has the value that is different.
        fitting.reverse();
        fitting.dedup_by_key(|(before, _)| *before);
        fitting.reverse();
        let values: Vec<f64> = rows.iter().copied().flatten().collect();
        let ranks = ranks(&values);
        let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / (count.max(2) - 1) as f64;
        (!fitting.is_empty() && variance > 0.0).then_some(Part {
            values,
            ranks,
            rank_of_row,
            places: fitting,
            variance,
        })
    }

    /// A number that follows from the values.
    fn seed(&self) -> u64 {
        let bits = self.values.iter().map(|value| value.to_bits());
        bits.fold(0, |seed: u64, bits| {
            (seed.rotate_left(7) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    /// The greatest statistic of all places when the ranks are in that order.
    fn greatest(&self, ranks: impl Iterator<Item = f64>) -> f64 {
        let count = self.ranks.len() as f64;
        let (mut sum, mut places) = (0.0, self.places.iter().peekable());
        let mut greatest = 0.0;
        for (before, rank) in ranks.enumerate() {
            if places.next_if(|(at, _)| *at == before).is_some() {
                let (before, after) = (before as f64, count - before as f64);
                let variance = before * after / count * self.variance;
                greatest = f64::max(greatest, f64::abs(sum) / variance.sqrt());
            }
            sum += rank;
        }
        greatest
    }

    /// The row of the place with the least distances from the medians of both sides.
    fn place(&self) -> Option<usize> {
        let before = distances(self.values.iter().copied());
        let after = distances(self.values.iter().rev().copied());
        let of = |count: usize| before[count] + after[self.values.len() - count];
        let best = self.places.iter().min_by(|a, b| of(a.0).total_cmp(&of(b.0)));
        best.map(|(_, row)| *row)
    }
}

/// For each number of values, from none on: the sum of the distances of the first ones from their median.
fn distances(values: impl Iterator<Item = f64>) -> Vec<f64> {
    // The smaller half with its greatest value on top, and the greater half with its smallest one.
    let (mut low, mut high) = (BinaryHeap::new(), BinaryHeap::new());
    let (mut low_sum, mut high_sum) = (0.0, 0.0);
    let mut sums = vec![0.0];
    for value in values {
        low.push(Ordered(value));
        low_sum += value;
        if let Some(Ordered(most)) = low.pop() {
            low_sum -= most;
            high_sum += most;
            high.push(Reverse(Ordered(most)));
        }
        if high.len() > low.len()
            && let Some(Reverse(Ordered(least))) = high.pop()
        {
            high_sum -= least;
            low_sum += least;
            low.push(Ordered(least));
        }
        // With an odd number the median is on top of the smaller half, which has one more.
        let median = low.peek().map_or(0.0, |Ordered(most)| *most);
        let odd = if low.len() > high.len() { median } else { 0.0 };
        sums.push(high_sum - low_sum + odd);
    }
    sums
}

/// A number that can be compared.
#[derive(PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The ranks of values, equal ones with the mean of theirs, less the mean of all ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mean = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = from as f64 + (equal.len() as f64 - 1.0) / 2.0 - mean;
        for place in equal {
            ranks[*place] = rank;
        }
        from += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values around 0 whose noise has now and then an outlier, as those of a shared machine.
    fn noise(coin: &mut Coin, rows: usize) -> Vec<Option<f64>> {
        let value = |coin: &mut Coin| {
            let normal = (0..6).map(|_| coin.fraction()).sum::<f64>() - 3.0;
            let wild = if coin.fraction() < 0.05 { 20.0 } else { 1.0 };
            Some(normal * wild)
        };
        (0..rows).map(|_| value(coin)).collect()
    }

    fn all_places(rows: usize) -> Vec<usize> {
        (1..rows).collect()
    }

    /// How many of the seeds have a change that is not there.
    fn false_alarms(seeds: u64, make: impl Fn(&mut Coin) -> (Vec<Vec<Option<f64>>>, Vec<usize>)) -> usize {
        let is_alarm = |seed: &u64| {
            let (series, places) = make(&mut Coin::new(*seed));
            change_points(&series, &places, 0.05)
                .iter()
                .any(|changes| !changes.is_empty())
        };
        (1..=seeds).filter(is_alarm).count()
    }

    #[test]
    fn of_a_thousand_histories_without_a_change_at_most_fifty_have_a_false_one() {
        // Four figures, of which two follow one another, and one is often not known.
        let alarms = false_alarms(1_000, |coin| {
            let first = noise(coin, 12);
            let close = first.iter().zip(noise(coin, 12));
            let close = close.map(|(a, b)| a.zip(b).map(|(a, b)| a + 0.3 * b)).collect();
            let mut sparse = noise(coin, 12);
            sparse[..4].fill(None);
            (vec![close, first, noise(coin, 12), sparse], all_places(12))
        });
        assert!((15..=50).contains(&alarms), "{alarms}");
    }

    #[test]
    fn several_records_of_a_revision_raise_no_false_alarms_either() {
        let alarms = false_alarms(1_000, |coin| (vec![noise(coin, 15)], vec![3, 6, 9, 12]));
        assert!(alarms <= 50, "{alarms}");
    }

    #[test]
    fn a_change_is_found_at_its_row_whatever_the_outliers() {
        let mut exact = 0;
        for seed in 1..=100 {
            let coin = &mut Coin::new(seed);
            let mut values = noise(coin, 40);
            for value in values[24..].iter_mut().flatten() {
                *value += 3.0;
            }
            let found = change_points(&[values, noise(coin, 40)], &all_places(40), 0.05);
            let first = found[0].iter().map(|change| change.row);
            exact += usize::from(first.clone().any(|row| (22..=26).contains(&row)));
        }
        assert!(exact >= 96, "{exact} of 100");
    }

    #[test]
    fn two_changes_are_both_found() {
        let level = |row: usize| match row {
            0..10 => 1.0,
            10..20 => 2.0,
            _ => 1.5,
        };
        let values: Vec<Option<f64>> = (0..30)
            .map(|row| Some(level(row) + 0.01 * (row * 7 % 5) as f64))
            .collect();
        let found = change_points(&[values], &all_places(30), 0.05);
        let rows: Vec<usize> = found[0].iter().map(|change| change.row).collect();
        assert_eq!(rows, [10, 20]);
        assert!(
            found[0]
                .iter()
                .all(|change| change.chance > 0.0 && change.chance <= 0.05)
        );
    }

    #[test]
    fn steps_in_one_direction_are_found_where_they_are() {
        for factors in [[1.0, 2.5, 150.0], [1.0, 2.0, 3.0], [9.0, 8.0, 7.0]] {
            let values: Vec<Option<f64>> = (0..21)
                .map(|row| Some(factors[row / 7] + 0.001 * (row * 7 % 5) as f64))
                .collect();
            let found = change_points(&[values], &all_places(21), 0.05);
            let rows: Vec<usize> = found[0].iter().map(|change| change.row).collect();
            assert_eq!(rows, [7, 14], "{factors:?}");
        }
    }

    #[test]
    fn distances_are_those_from_the_median() {
        assert_eq!(
            distances([3.0, 1.0, 2.0, 10.0].into_iter()),
            [0.0, 0.0, 2.0, 2.0, 9.0 + 1.0]
        );
        assert_eq!(distances(std::iter::empty()), [0.0]);
    }

    #[test]
    fn what_says_nothing_has_no_change() {
        for values in [
            vec![],
            vec![Some(1.0)],
            vec![Some(1.0); 50],
            vec![None; 50],
            vec![Some(1.0), Some(2.0), Some(3.0)],
            // One value alone is no change, however wild it is.
            [vec![Some(1.0); 30], vec![Some(1e9)]].concat(),
        ] {
            let places = all_places(values.len());
            assert_eq!(
                change_points(&[values], &places, 0.05),
                [Vec::<ChangePoint>::new()]
            );
        }
        assert!(change_points(&[], &[], 0.05).is_empty());
    }

    #[test]
    fn a_change_is_only_at_an_allowed_place_and_the_same_each_time() {
        let values: Vec<Option<f64>> = (0..24)
            .map(|row| Some(f64::from(row >= 12) + 0.001 * f64::from(row % 5)))
            .collect();
        let found = change_points(std::slice::from_ref(&values), &[4, 8, 16, 20], 0.05);
        assert!(found[0].iter().all(|change| change.row % 4 == 0), "{found:?}");
        assert!(!found[0].is_empty());
        assert_eq!(found, change_points(&[values], &[4, 8, 16, 20], 0.05));
    }

    #[test]
    fn a_figure_that_begins_later_has_its_change_at_the_first_row_that_is_known_to_differ() {
        let mut values = vec![None; 10];
        values.extend((0..10).map(|row| Some(1.0 + 0.01 * f64::from(row % 3))));
        values.push(None);
        values.extend((0..10).map(|row| Some(2.0 + 0.01 * f64::from(row % 3))));
        let places = all_places(values.len());
        let found = change_points(&[values], &places, 0.05);
        assert_eq!(found[0].iter().map(|change| change.row).collect::<Vec<_>>(), [21]);
    }
}
