//! The entry `native_hello` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/mod.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::hello::native_hello(input));
