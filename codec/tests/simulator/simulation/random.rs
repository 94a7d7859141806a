//! The only source of randomness: the same seed gives the same run.

use std::ops::RangeInclusive;

/// A generator of 64-bit numbers (SplitMix64).
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number of the range, uniformly distributed.
    pub(super) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end().saturating_sub(*range.start()) + 1)
    }

    /// A number up to `most`; every order of magnitude is equally likely.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        let digits = u64::BITS - most.leading_zeros();
        let shift = self.below(u64::from(digits) + 1);
        self.below((most >> shift) + 1)
    }

    /// True with a probability of `per_mille` in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of several, with a probability by weight; None when all weights are 0.
    pub(super) fn pick_weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> Option<T> {
        let sum = choices.iter().map(|(_, weight)| weight).sum::<u64>();
        if sum == 0 {
            return None;
        }
        let mut place = self.below(sum);
        for (choice, weight) in choices {
            if place < *weight {
                return Some(*choice);
            }
            place -= weight;
        }
        None
    }
}
