//! `native_session` of `entries/session.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../entries/session.rs"]
pub mod entries;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::native_session(input));
