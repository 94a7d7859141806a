//! Both fuzz entries of TLS on their samples and on mutations of them.

#[path = "../../fuzz/tls/entries.rs"]
pub mod entries;
#[path = "../../src/file_mark.rs"]
mod file_mark;
#[path = "../../fuzz/tls/mod.rs"]
mod fuzzed;
#[path = "../../../codec/fuzz/search/mod.rs"]
pub mod search;
#[path = "../../src/secret_file.rs"]
mod secret_file;
#[path = "../../src/tls/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the shell is what is fuzzed")]
pub mod tls;

use crate::entries::{ENTRIES, Entry};
use crate::search::campaign::{Campaign, Limit};
use crate::search::hex::hex;
use crate::search::units::Units;
use crate::search::watchdog::Watchdog;

/// Any number would do; it is printed with an input that fails.
const SEED: u64 = 0x5eed_0f15;

fn run(name: &str, executions: u64) {
    fuzzed::prepare();
    let entry: Option<Entry> = ENTRIES.into_iter().find(|entry| entry.name == name);
    let entry = entry.unwrap_or_else(|| panic!("there is no entry {name}"));
    let mut campaign = Campaign::new(&entry, SEED);
    if let Err((input, failure)) = campaign.run(Limit::Executions(executions), &Watchdog::none()) {
        panic!("{name}, seed {SEED}, input {}: {failure}", hex(&input));
    }
    // Inputs that all show the same prove little.
    let retained = campaign.retained();
    assert!(
        retained >= 60,
        "{name}: only {retained} inputs showed something new"
    );
}

#[test]
fn nobody_between_two_nodes_reads_or_writes_what_they_say_and_no_stranger_is_let_in() {
    run("tls_shell", 5_000);
}

#[test]
fn nobody_between_a_client_and_a_server_reads_or_writes_what_they_say_and_no_stranger_is_let_in() {
    run("tls_server", 5_000);
}

#[test]
fn samples_consist_of_whole_steps() {
    for entry in ENTRIES {
        for sample in (entry.samples)() {
            let units = Units::split(entry.shape, &sample).units;
            let bytes: usize = units.iter().map(Vec::len).sum();
            assert_eq!(bytes + 1, sample.len(), "{}", entry.name);
        }
    }
}
