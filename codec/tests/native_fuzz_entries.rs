//! Runs what the fuzz targets of the native dialect run, on random and on mutated input.

#[path = "../fuzz/entries/native.rs"]
pub mod entries;

#[path = "../fuzz/entries/session.rs"]
pub mod session;

#[path = "link_fuzz_input/input.rs"]
mod input;

use input::Random;

const SEED: u64 = 0x5eed_0004;

/// A valid hello as a request package.
const HELLO: &[u8] = b"\x00\x97\x00\x00\x00\x00\x00\x01\x00\x00\x00\x6cskyring.hello\x06\
    \x3cversion\x0a\x01\x3cchannel\x0a\x01\x44channels\x0a\x04\x3cthreads\x0a\x04\x2cepoch\x0a\x07\
    \x24node\x24game\x2cnonce\x840123456789abcdef\x34resume\x09\
    \x3csession\x84fedcba9876543210\x44received\x0a\x02\x00";

/// A name defined and called, a send to a handle, a ping, a call that is too large with its bytes left out,
/// an acknowledgement, a goodbye.
const FRAMES: &[u8] = b"\
    \x04\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00@sdb\
    \x06\x00\x00\x00\x01\x01\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x09\x00\x00\x00\x30\x75\x00\x00\x1cGET\x0ca\
    \x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00x\
    \x00\x00\x00\x00\x06\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \xd1\x07\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// Steps: calls and sends, the exchange there and back, time, a break, hostile bytes (an answer to session
/// 1), a goodbye.
const STEPS: &[u8] = &[
    0, 9, 1, 33, 2, 201, 3, 0, 6, 0, 8, 30, 1, 77, 2, 14, 3, 0, 9, 0, 0, 41, 11, 24, 0, 0, 0, 0, 3, 0, 0, 0,
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 12, 3, 0, 10, 0, 6, 0, 2, 99, 8, 200, 9, 0, 4, 0, 7,
    0,
];

#[test]
fn a_hello_is_read_as_it_was_meant_or_is_an_error() {
    Random::inputs(SEED, HELLO, 20_000, entries::native_hello);
    // The payload alone.
    Random::inputs(SEED + 1, &HELLO[25..], 20_000, entries::native_hello);
    entries::native_hello(HELLO);
}

/// A callee answers a hello in any session, a dialler takes the answer to session 1 only.
#[test]
fn an_answer_in_another_session_is_none_to_a_dialler() {
    let mut input = HELLO.to_vec();
    input[7..11].copy_from_slice(&[1, 32, 0, 0]);
    entries::native_hello(&input);
}

/// A peer that guesses the session of a call may answer it before it was transmitted.
#[test]
fn an_answer_may_come_before_its_call_was_transmitted() {
    let refusal = b"\x00\x13\x01\x00\x00\x00\x00name not found";
    for answer in [
        &b"\x00\x06\x01\x00\x00\x00\x01\x00"[..],
        b"\x00\x06\x01\x00\x00\x00\x00x",
    ] {
        entries::native_hello(&[refusal, answer].concat());
    }
}

#[test]
fn whatever_frames_come_every_split_gives_the_same_requests_and_answers() {
    Random::inputs(SEED + 2, FRAMES, 20_000, entries::native_callee);
}

#[test]
fn every_native_call_has_one_event_whatever_happens() {
    Random::inputs(SEED + 3, STEPS, 5_000, entries::native_caller);
}

/// Steps of a session: calls and sends, the exchange there and back, answers, time, half-open connections and breaks,
/// a restart, a session that is forgotten, a long time without a connection.
const SESSION_STEPS: &[u8] = &[
    11, 0, 3, 255, 4, 255, 5, 0, 6, 255, 0, 1, 1, 2, 2, 7, 0, 4, 1, 5, 3, 4, 4, 20, 7, 0, 5, 0, 6, 9, 9, 0,
    11, 0, 3, 255, 4, 30, 4, 255, 5, 1, 6, 90, 7, 1, 10, 5, 0, 3, 7, 0, 11, 1, 3, 255, 4, 255, 5, 0, 6, 255,
    8, 30, 12, 0, 1, 11, 11, 0, 3, 255, 4, 255, 5, 0, 6, 255, 2, 5, 13, 1, 9, 0, 14, 4, 11, 0,
];

/// Bytes of a half-open connection were taken for bytes of the next one.
#[test]
fn bytes_of_a_half_open_connection_are_judged_as_such() {
    let input = [
        210, 118, 11, 126, 3, 182, 184, 228, 5, 14, 6, 44, 3, 12, 114, 16, 224, 104, 9,
    ];
    session::native_session(&input);
}

#[test]
fn every_message_of_a_session_comes_once_and_in_order_whatever_breaks() {
    Random::inputs(SEED + 4, SESSION_STEPS, 2_500, session::native_session);
}
