//! Reproducible input for fuzz entries: the same seed gives the same input.

/// A small generator (xorshift64*), good enough to make input.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Calls `entry` with `count` inputs: mutations of `sample` and plain noise by turns.
    pub(crate) fn inputs(seed: u64, sample: &[u8], count: usize, entry: fn(&[u8])) {
        println!("seed {seed:#x}");
        let mut random = Self { state: seed };
        for number in 0..count {
            let input = if number % 2 == 0 {
                random.mutated(sample)
            } else {
                random.noise()
            };
            let outcome = std::panic::catch_unwind(|| entry(&input));
            if let Err(panic) = outcome {
                println!("input {number}: {input:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn noise(&mut self) -> Vec<u8> {
        // Small bytes are types, lengths and steps, so they come more often.
        let length = self.below(400);
        (0..length).map(|_| if self.below(2) == 0 { self.below(18) } else { self.below(256) } as u8).collect()
    }

    /// A byte for how to cut, then the sample a few times, with some bytes changed, inserted, removed.
    fn mutated(&mut self, sample: &[u8]) -> Vec<u8> {
        let mut input = vec![self.below(256) as u8];
        for _ in 0..=self.below(3) {
            input.extend(sample);
        }
        for _ in 0..self.below(6) {
            let at = self.below(input.len());
            match self.below(4) {
                0 => input[at] = self.below(256) as u8,
                1 => input[at] ^= 1 << self.below(8),
                2 => input.insert(at, self.below(8) as u8),
                _ => drop(input.drain(at..(at + self.below(4)).min(input.len()))),
            }
        }
        input
    }
}
