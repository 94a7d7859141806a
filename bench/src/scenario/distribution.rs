//! Distributions that a file names, of sizes, keys and think times.

use super::file::{KeyDistribution, NumberDistribution};
use super::random::Random;

/// A distribution of numbers, ready to be drawn from.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Fixed(f64),
    Uniform {
        min: f64,
        max: f64,
    },
    Exponential {
        mean: f64,
        max: f64,
    },
    Lognormal {
        median: f64,
        sigma: f64,
        max: f64,
    },
    /// Numbers, each with the part of all draws that are this one or one before it.
    Choice(Vec<(f64, f64)>),
}

impl Numbers {
    /// What a file says. Its bounds are checked elsewhere.
    pub(super) fn new(part: &NumberDistribution, max: f64) -> Numbers {
        match part {
            NumberDistribution::Fixed(number) => Numbers::Fixed(*number),
            NumberDistribution::Uniform { min, max } => Numbers::Uniform { min: *min, max: *max },
            NumberDistribution::Exponential { mean, max: limit } => Numbers::Exponential {
                mean: *mean,
                max: limit.unwrap_or(max),
            },
            NumberDistribution::Lognormal {
                median,
                sigma,
                max: limit,
            } => Numbers::Lognormal {
                median: *median,
                sigma: *sigma,
                max: limit.unwrap_or(max),
            },
            NumberDistribution::Choice(choices) => {
                let total: f64 = choices.iter().map(|choice| choice.weight).sum();
                let mut sum = 0.0;
                let places = choices.iter().map(|choice| {
                    sum += choice.weight / total;
                    (choice.value, sum)
                });
                Numbers::Choice(places.collect())
            }
        }
    }

    pub(super) fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Numbers::Fixed(number) => *number,
            Numbers::Uniform { min, max } => min + (max - min) * random.unit(),
            Numbers::Exponential { mean, max } => (-mean * (1.0 - random.unit()).ln()).min(*max),
            Numbers::Lognormal { median, sigma, max } => {
                // Box and Muller.
                let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * random.unit()).cos();
                (median * (sigma * normal).exp()).min(*max)
            }
            Numbers::Choice(choices) => {
                let place = random.unit();
                let chosen = choices
                    .iter()
                    .find(|(_, until)| place < *until)
                    .or(choices.last());
                chosen.map_or(0.0, |(number, _)| *number)
            }
        }
    }
}

/// A distribution of keys from 0 on, the most frequent first.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    Uniform {
        count: u64,
    },
    /// For each key, the part of all draws that are this one or one before it.
    Zipf(Vec<f64>),
}

impl Keys {
    pub(super) fn new(part: &KeyDistribution) -> Keys {
        match part {
            KeyDistribution::Uniform { count } => Keys::Uniform {
                count: u64::from(*count),
            },
            KeyDistribution::Zipf { count, exponent } => {
                let weight = |rank: u32| f64::from(rank).powf(-exponent);
                let total: f64 = (1..=*count).map(weight).sum();
                let mut sum = 0.0;
                let sums = (1..=*count).map(|rank| {
                    sum += weight(rank) / total;
                    sum
                });
                Keys::Zipf(sums.collect())
            }
        }
    }

    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        match self {
            Keys::Uniform { count } => random.next() % count,
            Keys::Zipf(sums) => {
                let place = random.unit();
                let key = sums.partition_point(|until| *until <= place);
                key.min(sums.len().saturating_sub(1)) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Choice;
    use super::*;

    fn drawn(numbers: &Numbers) -> Vec<f64> {
        let mut random = Random::of(1, 0, 0);
        let mut drawn: Vec<f64> = (0..100_000).map(|_| numbers.draw(&mut random)).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn numbers_are_drawn_as_their_distribution_says() {
        let uniform = drawn(&Numbers::new(
            &NumberDistribution::Uniform { min: 10.0, max: 20.0 },
            1e6,
        ));
        assert!(uniform[0] >= 10.0 && uniform[99_999] < 20.0);
        assert!((uniform[50_000] - 15.0).abs() < 0.2, "{}", uniform[50_000]);
        let exponential = NumberDistribution::Exponential {
            mean: 10.0,
            max: None,
        };
        let exponential = drawn(&Numbers::new(&exponential, 1e6));
        let mean = exponential.iter().sum::<f64>() / 1e5;
        assert!((mean - 10.0).abs() < 0.2, "{mean}");
        assert!((exponential[50_000] - 10.0 * 2f64.ln()).abs() < 0.2);
        let lognormal = NumberDistribution::Lognormal {
            median: 100.0,
            sigma: 1.0,
            max: Some(1_000.0),
        };
        let lognormal = drawn(&Numbers::new(&lognormal, 1e6));
        assert!((lognormal[50_000] - 100.0).abs() < 3.0, "{}", lognormal[50_000]);
        // One sigma above the median.
        assert!((lognormal[84_134] - 271.8).abs() < 8.0, "{}", lognormal[84_134]);
        assert_eq!(lognormal[99_999], 1_000.0);
        let choice = NumberDistribution::Choice(vec![
            Choice {
                value: 1.0,
                weight: 9.0,
            },
            Choice {
                value: 5.0,
                weight: 1.0,
            },
        ]);
        let fives = drawn(&Numbers::new(&choice, 1e6))
            .iter()
            .filter(|number| **number == 5.0)
            .count();
        assert!((9_700..10_300).contains(&fives), "{fives}");
    }

    #[test]
    fn keys_are_drawn_by_zipf() {
        let keys = Keys::new(&KeyDistribution::Zipf {
            count: 1_000,
            exponent: 1.0,
        });
        let mut random = Random::of(1, 0, 0);
        let mut counts = vec![0u32; 1_000];
        for _ in 0..100_000 {
            counts[keys.draw(&mut random) as usize] += 1;
        }
        // The sum of 1/n up to 1,000 is 7.485: the first key is 13.36 % of all, the second half of that.
        assert!((counts[0] as f64 - 13_360.0).abs() < 400.0, "{}", counts[0]);
        assert!((counts[1] as f64 - 6_680.0).abs() < 300.0, "{}", counts[1]);
        assert!(counts[999] < 60, "{}", counts[999]);
    }
}
