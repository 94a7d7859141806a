//! Measures what it costs to read a shared table beside a plain one: a field, `#`, `pairs`, `ipairs`, `next`.
//!
//! `cargo run --release -p skyring-lua --example shared_tables`

mod node;

use std::process::ExitCode;

fn main() -> ExitCode {
    node::run(&[("main", include_str!("shared_tables/main.lua"))], "thread = 1")
}
