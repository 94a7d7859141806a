//! What an input makes happen, so that one that shows something new can be told without instrumented code.
//!
//! An entry notes what it sees: kinds of events, errors, states. A feature is an event, an event after another one,
//! or an event so many times, by powers of two. Two features may have the same number; then one of them goes
//! unnoticed, which does no harm.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write};

/// Features are numbers below this.
pub const FEATURES: usize = 1 << 16;

/// The hash of nothing.
const HASH_EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

struct Notes {
    /// How often each event was noted, by its number.
    counts: Vec<u32>,
    is_shown: Vec<bool>,
    /// The features, and the events, in the order in which they came.
    features: Vec<u32>,
    events: Vec<u32>,
    previous: u64,
}

impl Notes {
    fn new() -> Self {
        Self {
            counts: vec![0; FEATURES],
            is_shown: vec![false; FEATURES],
            features: Vec::new(),
            events: Vec::new(),
            previous: 0,
        }
    }

    fn note(&mut self, event: u64) {
        let number = place(event);
        let count = &mut self.counts[number];
        *count = count.saturating_add(1);
        let count = *count;
        if count == 1 {
            self.events.push(number as u32);
        }
        if count.is_power_of_two() {
            self.show(mixed(event, u64::from(count)));
        }
        self.show(mixed(self.previous, event));
        self.previous = event;
    }

    fn show(&mut self, feature: u64) {
        let number = place(feature);
        if !std::mem::replace(&mut self.is_shown[number], true) {
            self.features.push(number as u32);
        }
    }

    fn take(&mut self) -> Vec<u32> {
        for event in self.events.drain(..) {
            self.counts[event as usize] = 0;
        }
        for feature in &self.features {
            self.is_shown[*feature as usize] = false;
        }
        self.previous = 0;
        std::mem::take(&mut self.features)
    }
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::new(Notes::new());
}

/// Notes an event; `detail` should have few values: see [`magnitude`].
pub fn note(event: &str, detail: u64) {
    let event = mixed(event.bytes().fold(HASH_EMPTY, hashed), detail);
    NOTES.with_borrow_mut(|notes| notes.note(event));
}

/// Notes a value by the words that it is written with, up to the first text or bytes in it, and without numbers.
pub fn note_words(event: &str, value: &dyn Debug) {
    let mut words = Words { hash: HASH_EMPTY };
    // An error is the end of the words.
    let _ = write!(words, "{value:?}");
    note(event, words.hash);
}

struct Words {
    hash: u64,
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'"' | b'`' => return Err(fmt::Error),
                byte if byte.is_ascii_alphabetic() => self.hash = hashed(self.hash, byte),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A number by its order of magnitude, so that few are told apart.
pub fn magnitude(number: usize) -> u64 {
    u64::from(usize::BITS - number.leading_zeros())
}

/// The features since the last time that they were taken.
pub fn taken() -> Vec<u32> {
    NOTES.with_borrow_mut(Notes::take)
}

/// Fowler, Noll and Vo's hash.
fn hashed(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
}

fn mixed(one: u64, other: u64) -> u64 {
    let mixed = (one.rotate_left(23) ^ other).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn place(number: u64) -> usize {
    (number.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 48) as usize % FEATURES
}
