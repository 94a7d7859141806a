//! Updates shared tables many times while services read them, then shares a large one; fails if a service sees two versions at
//! once, or if memory is not given back.
//!
//! `cargo run --release -p skyring-lua --example table_updates -- [UPDATES] [READERS] [ENTRIES]`, by default 10,000, 20 and a
//! million.

mod node;
#[path = "node/results.rs"]
mod results;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let mut number = |default| numbers.next().unwrap_or(Ok(default));
    let (Ok(updates @ 10..), Ok(readers @ 1..), Ok(entries @ 1..)) =
        (number(10_000), number(20), number(1_000_000))
    else {
        println!("usage: table_updates [UPDATES] [READERS] [ENTRIES], at least 10 updates");
        return ExitCode::from(2);
    };
    results::run(
        &[
            ("main", include_str!("table_updates/main.lua")),
            ("reader", include_str!("table_updates/reader.lua")),
            ("measure", include_str!("node/measure.lua")),
        ],
        &format!("thread = 2\nupdates = {updates}\nreaders = {readers}\nentries = {entries}"),
    )
}
