//! The entry `native_proof` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/mod.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::proof::native_proof(input));
