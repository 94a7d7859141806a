//! `native_hello` of `entries/native.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/native.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::native_hello(input));
