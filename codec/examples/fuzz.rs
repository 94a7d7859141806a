//! Fuzzes the codec for a given time, with a stable compiler.
//!
//! `cargo run --profile fuzz -p skyring-codec --example fuzz -- [--seconds N | --executions N] [--entry NAME]... [--seed N]`
//! `cargo run --profile fuzz -p skyring-codec --example fuzz -- --entry NAME --input FILE|HEX`
//!
//! Each entry runs for that long, from a seed that is printed. An input that fails is shrunk and printed with the
//! command that runs it again. Ends with 0 when nothing failed, with 1 when something did, and with 2 for arguments
//! that make no sense. `--write-samples FOLDER` writes what the entries begin with, for another fuzzer.
//!
//! With the crate's feature `faults`, `--fault NAME` switches one of its deliberate bugs on.

#[path = "../fuzz/entries/mod.rs"]
pub mod entries;
#[path = "shared/inject.rs"]
mod inject;
#[path = "../fuzz/search/mod.rs"]
pub mod search;

use std::process::ExitCode;

fn main() -> ExitCode {
    search::command::run(inject::inject)
}
