//! Arbitrary bytes through `unpack`; see `entries/seri.rs`.
#![no_main]

#[path = "../entries/seri.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::unpack(input));
