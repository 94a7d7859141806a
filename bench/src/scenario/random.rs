//! Random numbers that follow from a seed and a place, so that they are the same in whatever order they are asked for.

/// A sequence of random numbers (SplitMix64, by Steele, Lea and Flood).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of operation `number` of a phase.
    pub(super) fn of(seed: u64, phase: usize, number: u64) -> Random {
        let seed = mixed(seed ^ mixed(phase as u64 + 1));
        Random(mixed(seed ^ mixed(number.wrapping_mul(2) + 1)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// At least 0, and less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Spreads a number over all numbers, each to another one.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_seed_phase_and_place_alone() {
        let first = |seed, phase, number| Random::of(seed, phase, number).next();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let mut all: Vec<u64> = (0..1_000).map(|number| first(1, 0, number)).collect();
        all.extend((0..1_000).map(|number| first(1, 1, number)));
        all.extend((0..1_000).map(|number| first(2, 0, number)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3_000);
    }

    #[test]
    fn units_are_spread_evenly() {
        let mut random = Random::of(7, 0, 0);
        let mut tenths = [0; 10];
        for _ in 0..100_000 {
            tenths[(random.unit() * 10.0) as usize] += 1;
        }
        for count in tenths {
            assert!((9_500..10_500).contains(&count), "{tenths:?}");
        }
    }
}
