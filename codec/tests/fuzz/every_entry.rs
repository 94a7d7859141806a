//! Each entry holds its promises on its samples, on mutations of them and on noise.

use std::cell::Cell;

use skyring_codec::seri::unpack_all;

use crate::entries::{ENTRIES, Entry, seri};
use crate::entry;
use crate::search::Random;
use crate::search::campaign::{Campaign, Limit};
use crate::search::hex::hex;
use crate::search::watchdog::Watchdog;

/// Any number would do; it is printed with an input that fails.
const SEED: u64 = 0x5eed_0f1e;

fn run(entry: &Entry, executions: u64) {
    let mut campaign = Campaign::new(entry, SEED);
    if let Err((input, failure)) = campaign.run(Limit::Executions(executions), &Watchdog::none()) {
        panic!("{}, seed {SEED}, input {}: {failure}", entry.name, hex(&input));
    }
    // Inputs that all show the same prove little.
    assert!(
        campaign.retained() >= 50,
        "{}: only {} inputs showed something new",
        entry.name,
        campaign.retained()
    );
}

fn run_on_noise(name: &str, executions: usize) {
    let entry = entry(name);
    let mut random = Random::of_entry(SEED, name);
    for _ in 0..executions {
        let input: Vec<u8> = (0..random.below(400)).map(|_| random.byte()).collect();
        if std::panic::catch_unwind(|| (entry.run)(&input)).is_err() {
            panic!("{name}, seed {SEED}, noise {}", hex(&input));
        }
    }
}

thread_local! {
    static READABLE: Cell<u64> = const { Cell::new(0) };
}

fn unpack_and_count(input: &[u8]) {
    READABLE.set(READABLE.get() + u64::from(unpack_all(input).is_ok()));
    seri::unpack(input);
}

#[test]
fn unpack_holds_its_promises_on_mutated_values() {
    const EXECUTIONS: u64 = 15_000;
    let counted = Entry {
        run: unpack_and_count,
        ..entry("seri_unpack")
    };
    run(&counted, EXECUTIONS);
    // Inputs that are all refused, or all accepted, would prove little.
    let readable = READABLE.get();
    assert!(
        (EXECUTIONS / 20..EXECUTIONS * 19 / 20).contains(&readable),
        "{readable} of {EXECUTIONS} inputs can be read"
    );
}

#[test]
fn from_bytes_holds_its_promises_on_mutated_records() {
    run(&entry("serde_from_bytes"), 15_000);
}

#[test]
fn a_stranger_with_recorded_handshakes_is_neither_served_nor_trusted() {
    run(&entry("native_proof"), 10_000);
    run_on_noise("native_proof", 2_000);
}

#[test]
fn requests_decode_without_panic_and_encode_to_what_they_were() {
    run(&entry("skynet_request"), 20_000);
}

#[test]
fn responses_decode_without_panic_and_encode_to_what_they_were() {
    run(&entry("skynet_response"), 20_000);
}

#[test]
fn every_call_has_one_event_whatever_happens() {
    run(&entry("link_caller"), 2_000);
}

#[test]
fn whatever_is_received_every_split_gives_the_same_requests_and_answers() {
    run(&entry("link_callee"), 20_000);
}

#[test]
fn a_hello_is_read_as_it_was_meant_or_is_an_error() {
    run(&entry("native_hello"), 20_000);
}

#[test]
fn every_native_call_has_one_event_whatever_happens() {
    run(&entry("native_caller"), 5_000);
}

#[test]
fn whatever_frames_come_every_split_and_either_way_gives_the_same_requests_and_answers() {
    run(&entry("native_callee"), 20_000);
}

#[test]
fn every_message_of_a_session_comes_once_and_in_order_whatever_breaks() {
    run(&entry("native_session"), 2_500);
}

#[test]
fn the_decoders_of_values_hold_their_promises_on_noise() {
    run_on_noise("seri_unpack", 40_000);
    run_on_noise("serde_from_bytes", 20_000);
}

#[test]
fn every_other_entry_holds_its_promises_on_noise() {
    for entry in ENTRIES.iter().skip(2) {
        run_on_noise(entry.name, 2_000);
    }
}
