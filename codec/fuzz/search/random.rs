//! The only source of chance: the same seed gives the same inputs.

use std::hash::{BuildHasher, RandomState};

/// A generator of 64-bit numbers (SplitMix64).
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of one entry, so that its inputs do not depend on which others run.
    pub fn of_entry(seed: u64, entry: &str) -> Self {
        let mut random = Self { state: seed };
        for byte in entry.bytes() {
            random.state = random.next() ^ u64::from(byte);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Any byte, but each second time a small one, as types, lengths and steps are.
    pub fn byte(&mut self) -> u8 {
        let bound = if self.chance(50) { 20 } else { 256 };
        self.below(bound) as u8
    }

    /// A range of up to `length_max` places that lies within `length`.
    pub fn range(&mut self, length: usize, length_max: usize) -> std::ops::Range<usize> {
        let count = 1 + self.below(length_max.min(length));
        let count = count.min(length);
        let start = self.below(length - count + 1);
        start..start + count
    }

    /// One of several; None of none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

/// A seed that no run had before: each process hashes with other keys.
pub fn seed_new() -> u64 {
    RandomState::new().hash_one(std::process::id()) >> 16
}
