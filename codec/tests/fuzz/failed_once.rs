//! Inputs on which an entry failed once.

use crate::entries::hello::native_hello;
use crate::entries::samples::HELLO;
use crate::entries::session::native_session;

/// A callee answers a hello in any session, a dialler takes the answer to session 1 only.
#[test]
fn an_answer_in_another_session_is_none_to_a_dialler() {
    let mut input = HELLO.to_vec();
    input[7..11].copy_from_slice(&[1, 32, 0, 0]);
    native_hello(&input);
}

/// A peer that guesses the session of a call may answer it before it was transmitted.
#[test]
fn an_answer_may_come_before_its_call_was_transmitted() {
    let refusal = b"\x00\x13\x01\x00\x00\x00\x00name not found";
    for answer in [
        &b"\x00\x06\x01\x00\x00\x00\x01\x00"[..],
        b"\x00\x06\x01\x00\x00\x00\x00x",
    ] {
        native_hello(&[refusal, answer].concat());
    }
}

/// Bytes of a half-open connection were taken for bytes of the next one.
#[test]
fn bytes_of_a_half_open_connection_are_judged_as_such() {
    let input = [
        210, 118, 11, 126, 3, 182, 184, 228, 5, 14, 6, 44, 3, 12, 114, 16, 224, 104, 9,
    ];
    native_session(&input);
}

/// The hello comes on top of the messages that fill the out-buffer.
#[test]
fn a_hello_has_its_place_beside_a_full_out_buffer() {
    // Calls of 138 bytes, and one that makes them 40,000.
    let calls = [[0, 1]; 288].concat();
    native_session(&[&calls[..], &[1, 59, 11, 0]].concat());
}
