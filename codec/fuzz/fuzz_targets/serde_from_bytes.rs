//! The entry `serde_from_bytes` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/mod.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::seri::from_bytes(input));
