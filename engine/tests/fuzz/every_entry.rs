//! Each entry holds its promises on its samples, on mutations of them and on noise.

use crate::entries::{ENTRIES, Entry, joined};
use crate::search::Random;
use crate::search::campaign::{Campaign, Limit};
use crate::search::hex::hex;
use crate::search::units::Units;
use crate::search::watchdog::Watchdog;

/// Any number would do; it is printed with an input that fails.
const SEED: u64 = 0x5eed_0f1e;

fn entry(name: &str) -> Entry {
    let entry = ENTRIES.into_iter().find(|entry| entry.name == name);
    entry.unwrap_or_else(|| panic!("there is no entry {name}"))
}

fn run(name: &str, executions: u64) {
    let entry = entry(name);
    let mut campaign = Campaign::new(&entry, SEED);
    if let Err((input, failure)) = campaign.run(Limit::Executions(executions), &Watchdog::none()) {
        panic!("{name}, seed {SEED}, input {}: {failure}", hex(&input));
    }
    // Inputs that all show the same prove little.
    let retained = campaign.retained();
    assert!(
        retained >= 30,
        "{name}: only {retained} inputs showed something new"
    );
    let mut random = Random::of_entry(SEED, name);
    for _ in 0..executions / 5 {
        let input: Vec<u8> = (0..random.below(400)).map(|_| random.byte()).collect();
        if std::panic::catch_unwind(|| (entry.run)(&input)).is_err() {
            panic!("{name}, seed {SEED}, noise {}", hex(&input));
        }
    }
}

#[test]
fn whatever_etcd_answers_changes_the_map_as_promised_or_is_an_error() {
    run("etcd_answers", 5_000);
}

#[test]
fn whatever_dns_answers_gives_nodes_or_is_an_error() {
    run("dns_answers", 10_000);
}

#[test]
fn samples_consist_of_whole_pieces_and_are_put_together_without_their_lengths() {
    for entry in ENTRIES {
        for sample in (entry.samples)() {
            let units = Units::split(entry.shape, &sample).units;
            assert!(!units.is_empty(), "{}", entry.name);
            let bytes: usize = units.iter().map(|unit| unit.len() - 1).sum();
            assert_eq!(joined(&sample).len(), 1 + bytes, "{}", entry.name);
        }
    }
}
