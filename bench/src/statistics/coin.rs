//! Random decisions that a seed repeats.

/// The generator SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Coin(u64);

impl Coin {
    /// The same seed gives the same sequence.
    pub fn new(seed: u64) -> Coin {
        Coin(seed)
    }

    /// Heads or tails.
    pub fn toss(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// A number from 0 up to, but not including, 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The next 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_tosses_and_both_sides_are_as_frequent() {
        let tosses = |seed| {
            let mut coin = Coin::new(seed);
            (0..10_000).map(|_| coin.toss()).collect::<Vec<_>>()
        };
        assert_eq!(tosses(7), tosses(7));
        assert_ne!(tosses(7), tosses(8));
        let heads = tosses(7).iter().filter(|heads| **heads).count();
        assert!((4_800..5_200).contains(&heads), "{heads}");
    }
}
