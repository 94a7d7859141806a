//! Random numbers of a seed.

use std::ops::Range;
use std::time::Duration;

use crate::core::placement::{hash_bytes, hash_number};

/// Random numbers of a seed: the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Random {
        Random {
            state: hash_number(seed),
        }
    }

    /// Other numbers of the same seed, for another purpose: what one purpose draws does not change what another gets.
    #[must_use]
    pub fn stream(&self, purpose: &str) -> Random {
        Random::new(self.state ^ hash_bytes(purpose.as_bytes()))
    }

    /// A number of 64 bits.
    pub fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash_number(self.state)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        let number = self.next_number();
        if end == 0 { 0 } else { number % end }
    }

    /// An element; `None` of nothing.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let index = self.below(of.len() as u64);
        of.get(usize::try_from(index).unwrap_or_default())
    }

    /// A time in this range, in whole microseconds.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_micros();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        range.start + Duration::from_micros(self.below(span))
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
