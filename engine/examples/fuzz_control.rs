//! Fuzzes what the engine reads from etcd and DNS, for a given time, with a stable compiler.
//!
//! `cargo run --profile fuzz -p skyring --example fuzz_control -- [--seconds N | --executions N] [--entry NAME]... [--seed N]`
//! `cargo run --profile fuzz -p skyring --example fuzz_control -- --entry NAME --input FILE|HEX`
//!
//! The runner is that of the codec, and so are its arguments: see `codec/examples/fuzz.rs`.

#[path = "../fuzz/entries/mod.rs"]
pub mod entries;
#[path = "../../codec/fuzz/search/mod.rs"]
pub mod search;

use std::process::ExitCode;

fn main() -> ExitCode {
    search::command::run(|fault| match fault {
        None => Ok(()),
        Some(fault) => Err(format!(
            "there is no fault {fault:?} here: only the codec has some"
        )),
    })
}
