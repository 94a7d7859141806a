//! Fuzzes the shell of TLS for a given time, with a stable compiler, as the codec's command does its entries.
//!
//! `cargo run --profile fuzz -p skyring --example fuzz_tls -- [--seconds N | --executions N] [--seed N] [--input HEX]`
//!
//! See `engine/fuzz/tls` for what inputs are and what must hold. Ends with 0 when nothing failed, with 1 when something
//! did, and with 2 for arguments that make no sense.

#[path = "../../codec/fuzz/entries/mod.rs"]
pub mod entries;
#[path = "../src/file_mark.rs"]
mod file_mark;
#[path = "../fuzz/tls/mod.rs"]
mod fuzzed;
#[path = "../../codec/fuzz/search/mod.rs"]
pub mod search;
#[path = "../src/secret_file.rs"]
mod secret_file;
// The room is the engine's own, and compiled once more here: nothing outside the engine reaches it otherwise.
#[path = "../src/tls/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the shell is what is fuzzed")]
pub mod tls;

use std::process::ExitCode;

use fuzzed::ENTRY;
use search::campaign::{Campaign, Limit};
use search::hex::{from_hex, hex};
use search::shrink::shrink;
use search::watchdog::Watchdog;
use search::{judge, process_time, seed_new};

const USAGE: &str = "usage: fuzz_tls [--seconds N | --executions N] [--seed N] [--input HEX]";

fn main() -> ExitCode {
    let (mut limit, mut seed, mut replayed) = (Limit::Seconds(60), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = value.parse::<u64>().ok();
        match (name.as_str(), number) {
            ("--seconds", Some(seconds)) => limit = Limit::Seconds(seconds),
            ("--executions", Some(executions)) => limit = Limit::Executions(executions),
            ("--seed", Some(number)) => seed = Some(number),
            ("--input", _) if from_hex(&value).is_some() => replayed = from_hex(&value),
            _ => {
                eprintln!("{name} {value}: not known\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    fuzzed::prepare();
    if let Some(input) = replayed {
        return match judge(ENTRY.run, &input) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let seed = seed.unwrap_or_else(seed_new);
    println!("seed {seed}");
    let (began, watchdog) = (process_time(), Watchdog::none());
    let mut campaign = Campaign::new(&ENTRY, seed);
    let outcome = campaign.run(limit, &watchdog);
    println!(
        "{}: {} executions in {:.1} s of processor time, {} inputs retained for {} features",
        ENTRY.name,
        campaign.executions(),
        process_time().saturating_sub(began).as_secs_f64(),
        campaign.retained(),
        campaign.features()
    );
    let Err((input, failure)) = outcome else {
        println!("clean");
        return ExitCode::SUCCESS;
    };
    let (input, failure) = shrink(&ENTRY, &input, failure, &watchdog);
    println!("{failure}\nto run it again: --input {}", hex(&input));
    ExitCode::FAILURE
}
