//! Chance: numbers that nobody can predict, or, on the manual runtime, those of a seed.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;

use super::Runtime;
#[cfg(feature = "testing")]
use super::manual;

/// A random number, hard to guess and unique to this process.
pub(crate) fn random_number() -> u64 {
    match Runtime::current() {
        #[cfg(feature = "testing")]
        Runtime::Manual => manual::random_number(),
        _ => RandomState::new().build_hasher().finish(),
    }
}

/// Fills the buffer with bytes that nobody can predict.
pub(crate) fn fill_unpredictable(bytes: &mut [u8]) {
    match Runtime::current() {
        #[cfg(feature = "testing")]
        Runtime::Manual => fill_with_numbers(bytes),
        _ => {
            let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(bytes));
            if random.is_err() {
                // A machine without that device: these are hard to guess too.
                fill_with_numbers(bytes);
            }
        }
    }
}

fn fill_with_numbers(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&random_number().to_le_bytes()[..part.len()]);
    }
}
