//! Measures small services in Lua: memory and start time of each, a call to each, and the memory that is left when all have
//! ended. With rows, all of them also use one shared table.
//!
//! `cargo run --release -p skyring-lua --example agents -- [SERVICES] [ROWS]`, by default 2,000 and 0.

mod node;
#[path = "node/results.rs"]
mod results;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let services = numbers.next().unwrap_or(Ok(2_000));
    let rows = numbers.next().unwrap_or(Ok(0));
    let (Ok(services @ 1..), Ok(rows)) = (services, rows) else {
        println!("usage: agents [SERVICES] [ROWS]");
        return ExitCode::from(2);
    };
    results::run(
        &[
            ("main", include_str!("agents/main.lua")),
            ("agent", include_str!("agents/agent.lua")),
            ("measure", include_str!("node/measure.lua")),
        ],
        &format!("thread = 2\nagents = {services}\nrows = {rows}"),
    )
}
