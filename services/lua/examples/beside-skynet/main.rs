//! Measures the same services in Lua on Skynet and on this host, one after the other in turn, and prints both:
//!
//! `cargo run --release -p skyring-lua --example beside-skynet -- DIR [ROUNDS]`, by default 3 rounds.
//!
//! DIR is a checkout of Skynet with a built `skynet`. Each measurement runs in a process of its own, with the same
//! config for both. The table, in Markdown, has the medians and how many times better this host is.

mod client;
mod measurement;
#[path = "../node/mod.rs"]
mod node;
#[path = "../node/process.rs"]
mod process;

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measurement::Figures;

/// A row of the table.
struct Row {
    /// The name of the figure.
    figure: &'static str,
    text: &'static str,
    unit: &'static str,
    decimals: usize,
    more_is_better: bool,
}

const fn cost(figure: &'static str, text: &'static str, unit: &'static str, decimals: usize) -> Row {
    Row {
        figure,
        text,
        unit,
        decimals,
        more_is_better: false,
    }
}

const fn rate(figure: &'static str, text: &'static str) -> Row {
    Row {
        figure,
        text,
        unit: "K/s",
        decimals: 1,
        more_is_better: true,
    }
}

const ROWS: [Row; 8] = [
    cost("memory", "2,000 small services: memory of one", "KiB", 1),
    cost("start", "2,000 small services: time to start all", "s", 2),
    cost(
        "table",
        "`sharetable` of 200,000 rows: memory of each further service that asks for it",
        "KiB",
        1,
    ),
    cost(
        "sends",
        "200,000 sends to one service, at most 50,000 of them waiting",
        "s",
        2,
    ),
    cost("calls", "100,000 calls, one after the other", "s", 2),
    cost(
        "deliveries",
        "200,000 multicast deliveries to 500 services",
        "s",
        2,
    ),
    rate(
        "echo 1",
        "a gate in Lua (`snax.gateserver`), echo of 64 bytes: 1 client",
    ),
    rate("echo 50", "the same: 50 clients"),
];

/// The figures of all rounds on one side, by name.
type Rounds = HashMap<String, Vec<f64>>;

fn add(rounds: &mut Rounds, figures: Figures) {
    for (name, value) in figures {
        rounds.entry(name).or_default().push(value);
    }
}

/// The median of sorted values: of an even number, the mean of the middle two.
fn median(values: &[f64]) -> Option<f64> {
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// The median of a figure, and a text with its range too.
fn summary(rounds: &Rounds, row: &Row) -> Result<(f64, String), String> {
    let mut values = rounds.get(row.figure).cloned().unwrap_or_default();
    values.sort_by(f64::total_cmp);
    let (Some(first), Some(last), Some(median)) = (values.first(), values.last(), median(&values)) else {
        return Err(format!("no figure {}", row.figure));
    };
    let (decimals, unit) = (row.decimals, row.unit);
    let text = format!("{median:.decimals$} {unit} ({first:.decimals$} to {last:.decimals$})");
    Ok((median, text))
}

fn compare(folder: &Path, rounds: u32) -> Result<(), Box<dyn Error>> {
    let (mut theirs, mut ours) = (Rounds::new(), Rounds::new());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for measurement in &measurement::ALL {
            add(&mut theirs, measurement.run(folder, process::skynet(folder)?)?);
            add(&mut ours, measurement.run(folder, process::skyring()?)?);
        }
    }
    println!("| | Skynet | Skyring | times better |\n| --- | --- | --- | --- |");
    for row in &ROWS {
        let (their_median, their_text) = summary(&theirs, row)?;
        let (our_median, our_text) = summary(&ours, row)?;
        let times = match row.more_is_better {
            true => our_median / their_median,
            false => their_median / our_median,
        };
        println!("| {} | {their_text} | {our_text} | {times:.2} |", row.text);
    }
    Ok(())
}

fn main() -> ExitCode {
    if let Some(code) = process::run_if_node() {
        return code;
    }
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map(PathBuf::from);
    let rounds = arguments.next().map_or(Ok(3), |text| text.parse::<u32>());
    let (Some(folder), Ok(rounds @ 1..)) = (folder, rounds) else {
        eprintln!("usage: beside-skynet DIR [ROUNDS]");
        return ExitCode::from(2);
    };
    match compare(&folder, rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
