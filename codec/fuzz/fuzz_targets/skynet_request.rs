//! The entry `skynet_request` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/mod.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::skynet::skynet_request(input));
