//! `skynet_request` of `entries/skynet.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/skynet.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::skynet_request(input));
