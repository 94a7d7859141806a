//! Runs what the fuzz targets of the link run, on random and on mutated input.

#[path = "../fuzz/entries/link.rs"]
pub mod entries;

#[path = "link_fuzz_input/input.rs"]
mod input;

use input::Random;

const SEED: u64 = 0x5eed_0003;

/// Steps: connect, calls of all kinds, a send, transmit in part, replies, time, a break, hostile bytes
/// (an answer to session 1), connect again, transmit all, replies.
const STEPS: &[u8] = &[
    13, 0, 0, 9, 1, 20, 4, 250, 2, 33, 5, 200, 4, 180, 3, 7, 7, 60, 8, 200, 10, 3, 0, 1, 12, 5, 9, 0, 10,
    200, 0, 77, 6, 9, 14, 0, 1, 40, 13, 0, 15, 9, 0, 7, 1, 0, 0, 0, 1, 1, 1, 9, 0, 4, 101, 9, 0, 11, 255, 12,
    9,
];

/// Well-formed packages of a caller: short and long requests and pushes, one of them too large.
const REQUESTS: &[u8] = b"\x00\x0f\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x1cGET\x0ca\
    \x00\x10\x80\x04@sdb\x07\x00\x00\x00\x1cGET\x0ca\x00\x0b\x04(a-b-1)tag\
    \x00\x0e\x81\x04@big\x05\x00\x00\x00\x03\x00\x00\x00\x00\x07\x02\x05\x00\x00\x00ab\
    \x00\x0d\x41\x0a\x00\x00\x00\x09\x00\x00\x00\x02\x00\x00\x00\x00\x06\x03\x05\x00\x00\x00c\
    \x00\x0d\x01\x0a\x00\x00\x00\x0b\x00\x00\x00\x02\x00\x07\x00\x00\x06\x02\x0b\x00\x00\x00x\
    \x00\x06\x03\x0b\x00\x00\x00x\x00\x07\x03\x09\x00\x00\x0012";

#[test]
fn every_call_has_one_event_whatever_happens() {
    Random::inputs(SEED, STEPS, 2_000, entries::link_caller);
}

#[test]
fn whatever_is_received_every_split_gives_the_same_requests_and_answers() {
    Random::inputs(SEED + 1, REQUESTS, 20_000, entries::link_callee);
}
