//! `link_caller` of `entries/link.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/link.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::link_caller(input));
