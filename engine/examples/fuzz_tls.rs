//! Fuzzes the shell of TLS, for a given time, with a stable compiler.
//!
//! `cargo run --profile fuzz -p skyring --example fuzz_tls -- [--seconds N | --executions N] [--entry NAME]... [--seed N]`
//! `cargo run --profile fuzz -p skyring --example fuzz_tls -- --entry NAME --input FILE|HEX`
//!
//! See `engine/fuzz/tls` for what inputs are and what must hold. The runner is that of the codec, and so are its
//! arguments: see `codec/examples/fuzz.rs`.

#[path = "../fuzz/tls/entries.rs"]
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

fn main() -> ExitCode {
    fuzzed::prepare();
    search::command::run(|fault| match fault {
        None => Ok(()),
        Some(fault) => Err(format!(
            "there is no fault {fault:?} here: only the codec has some"
        )),
    })
}
