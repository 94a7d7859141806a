//! Runs what the fuzz targets of the skynet dialect run, on random and on mutated input.

#[path = "../fuzz/entries/skynet.rs"]
pub mod entries;

#[path = "link_fuzz_input/input.rs"]
mod input;

use input::Random;

const SEED: u64 = 0x5eed_0001;

/// Well-formed packages of a caller, to be mutated.
const REQUESTS: &[u8] = b"\x00\x0f\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x1cGET\x0ca\
    \x00\x10\x80\x04@sdb\x07\x00\x00\x00\x1cGET\x0ca\x00\x0b\x04(a-b-1)tag\
    \x00\x0e\x81\x04@big\x05\x00\x00\x00\x03\x00\x00\x00\x00\x07\x02\x05\x00\x00\x00ab\
    \x00\x06\x03\x05\x00\x00\x00c\x00\x0d\x41\x0a\x00\x00\x00\x09\x00\x00\x00\x02\x00\x00\x00";

/// Well-formed packages of a callee, to be mutated.
const RESPONSES: &[u8] = b"\x00\x06\x01\x00\x00\x00\x01\x00\x00\x07\x02\x00\x00\x00\x01\x0cv\
    \x00\x13\x03\x00\x00\x00\x00name not found\x00\x09\x04\x00\x00\x00\x02\x03\x00\x00\x00\
    \x00\x07\x04\x00\x00\x00\x03ab\x00\x06\x04\x00\x00\x00\x04c";

#[test]
fn requests_decode_without_panic_and_encode_to_what_they_were() {
    Random::inputs(SEED, REQUESTS, 20_000, entries::skynet_request);
}

#[test]
fn responses_decode_without_panic_and_encode_to_what_they_were() {
    Random::inputs(SEED + 1, RESPONSES, 20_000, entries::skynet_response);
}
