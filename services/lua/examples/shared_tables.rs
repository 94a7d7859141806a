//! Measures what it costs to read a shared table beside a plain one: a field, `#`, `pairs`, `ipairs`, `next`.
//!
//! `cargo run --release -p skyring-lua --example shared_tables`

mod node;
#[path = "node/results.rs"]
mod results;

use std::process::ExitCode;

fn main() -> ExitCode {
    results::run(
        &[
            ("main", include_str!("shared_tables/main.lua")),
            ("measure", include_str!("node/measure.lua")),
        ],
        "thread = 1",
    )
}
