//! The search itself: it finds what is planted, makes it small, and does the same again from the same seed.

use std::cell::RefCell;
use std::time::Duration;

use crate::entries::Entry;
use crate::entries::events::note;
use crate::entries::shape::Content;
use crate::entry;
use crate::search::campaign::{Campaign, Limit};
use crate::search::clock::spend;
use crate::search::shrink::shrink;
use crate::search::watchdog::{Watch, Watchdog};
use crate::search::{ENDLESS, Failure, SLOW, judge, seed_new};

thread_local! {
    static INPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Notes the input and runs an entry whose behaviour decides on further inputs.
fn recorded(input: &[u8]) {
    INPUTS.with_borrow_mut(|inputs| inputs.push(input.to_vec()));
    crate::entries::native_callee::native_callee(input);
}

fn inputs(seed: u64) -> Vec<Vec<u8>> {
    let entry = Entry {
        run: recorded,
        ..entry("native_callee")
    };
    let mut campaign = Campaign::new(&entry, seed);
    let outcome = campaign.run(Limit::Executions(2_000), &Watchdog::none());
    assert_eq!(outcome, Ok(()));
    assert_eq!(campaign.executions(), 2_000);
    INPUTS.take()
}

#[test]
fn the_same_seed_gives_the_same_inputs_and_another_one_others() {
    let first = inputs(7);
    assert_eq!(first.len(), 2_000);
    assert_eq!(first, inputs(7));
    let other = inputs(8);
    let samples = (entry("native_callee").samples)().len();
    assert_eq!(first[..samples], other[..samples]);
    assert_ne!(first, other);
    assert_ne!(seed_new(), seed_new());
}

/// Fails on a short string, a table and the number 300 in this order, with anything between them.
fn planted_panic(input: &[u8]) {
    let mut found = 0;
    for value in skyring_codec::seri::values(input) {
        let Ok(value) = value else { return };
        found += match (found, value) {
            (0, value) if value.as_bytes().is_some_and(|bytes| bytes.len() > 2) => 1,
            (1, value) if value.as_table().is_some() => 1,
            (2, value) if value.as_integer() == Some(300) => 1,
            _ => 0,
        };
        note("found", found);
    }
    assert!(found < 3, "all three");
}

fn values(run: fn(&[u8])) -> Entry {
    Entry {
        name: "planted",
        run,
        shape: Content::Values.plain(),
        samples: crate::entries::samples::values,
    }
}

/// Searches until something fails and shrinks it.
fn found(entry: &Entry) -> (Vec<u8>, Vec<u8>, Failure) {
    let watchdog = Watchdog::none();
    let outcome = Campaign::new(entry, 1).run(Limit::Executions(200_000), &watchdog);
    let (input, failure) = outcome.expect_err("it is not found");
    let (small, failure) = shrink(entry, &input, failure, &watchdog);
    (input, small, failure)
}

#[test]
fn a_planted_panic_is_found_and_shrunk() {
    let entry = values(planted_panic);
    let (input, small, failure) = found(&entry);
    assert!(small.len() <= input.len());
    // A string of three bytes, whose length is in its head or behind it, an empty table and a number.
    let rest = [0, 0, 0, 6, 0, 0x12, 44, 1];
    assert!(small == [&[0x1c][..], &rest].concat() || small == [&[0x15, 3, 0][..], &rest].concat());
    assert!(
        matches!(&failure, Failure::Panic { text, place } if text == "all three" && place.contains("planted.rs"))
    );
    assert_eq!(judge(entry.run, &small), Err(failure));
}

/// A string of more than ten bytes takes more than a second.
fn planted_slowness(input: &[u8]) {
    let mut values = skyring_codec::seri::values(input).map_while(Result::ok);
    if values.any(|value| value.as_bytes().is_some_and(|bytes| bytes.len() > 10)) {
        spend(SLOW + SLOW / 10);
    }
}

#[test]
fn a_planted_slow_input_is_found_and_shrunk() {
    let entry = Entry {
        samples: || vec![b"\x1cGET\x0aa\x1ckey".to_vec()],
        ..values(planted_slowness)
    };
    let (_, small, failure) = found(&entry);
    assert_eq!(small, [&[0x5c][..], &[0; 11]].concat());
    assert!(matches!(failure, Failure::Slow(time) if time > SLOW && time < 2 * SLOW));
}

thread_local! {
    static TIMES: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

fn as_planned(_: &[u8]) {
    spend(TIMES.with_borrow_mut(Vec::pop).unwrap_or_default());
}

#[test]
fn an_input_is_slow_only_three_times_running() {
    TIMES.set(vec![Duration::ZERO, 2 * SLOW]);
    assert!(judge(as_planned, b"").is_ok());
    TIMES.set(vec![Duration::ZERO, 3 * SLOW, 2 * SLOW]);
    assert!(judge(as_planned, b"").is_ok());
    TIMES.set(vec![3 * SLOW, 2 * SLOW, 4 * SLOW]);
    let outcome = judge(as_planned, b"");
    assert!(matches!(outcome, Err(Failure::Slow(time)) if time >= 2 * SLOW && time < 3 * SLOW));
}

#[test]
fn an_execution_that_does_not_end_is_noticed() {
    let (entry, watchdog) = (values(planted_panic), Watchdog::none());
    let mut watch = Watch::new(watchdog.clone());
    let second = Duration::from_secs(1);
    assert!(watch.endless(second).is_none());
    watchdog.watch(&entry, b"first", || assert!(watch.endless(2 * second).is_none()));
    // Between two executions nothing is endless, however long that is.
    assert!(watch.endless(2 * second + ENDLESS).is_none());
    watchdog.watch(&entry, b"second", || {
        assert!(watch.endless(100 * second).is_none());
        assert!(watch.endless(99 * second + ENDLESS).is_none());
        let (entry, input) = watch.endless(100 * second + ENDLESS).expect("it is endless");
        assert_eq!((entry.name, &input[..]), ("planted", &b"second"[..]));
    });
}
