//! Runs the simulator of links, on any number of seeds or on one with its trace.
//!
//! `cargo run --release -p skyring-codec --example simulate -- [--first N] [--seeds N]`
//! `cargo run --release -p skyring-codec --example simulate -- --seed N [--trace]`

#[path = "../tests/simulator/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use simulation::{Trace, check_all, run};

const USAGE: &str = "usage: simulate [--first N] [--seeds N] | --seed N [--trace]";

/// Seeds that are run when nobody says otherwise.
const SEEDS: u64 = 10_000;

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    is_traced: bool,
    first: u64,
    seeds: Option<u64>,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || given.next()?.replace('_', "").parse::<u64>().ok();
        match argument.as_str() {
            "--seed" => parsed.seed = Some(number()?),
            "--first" => parsed.first = number()?,
            "--seeds" => parsed.seeds = Some(number()?),
            "--trace" => parsed.is_traced = true,
            _ => return None,
        }
    }
    Some(parsed)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let outcome = match arguments.seed {
        Some(seed) => {
            let trace = if arguments.is_traced {
                Trace::kept()
            } else {
                Trace::none()
            };
            let outcome = run(seed, &trace);
            trace.lines().iter().for_each(|line| println!("{line}"));
            outcome.map_err(|violation| format!("seed {seed}: {violation}"))
        }
        None => {
            let end = arguments.first.saturating_add(arguments.seeds.unwrap_or(SEEDS));
            check_all(arguments.first..end).map_err(|failure| failure.to_string())
        }
    };
    match outcome {
        Ok(counts) => {
            for (what, count) in counts.all() {
                println!("{what:>20}: {count}");
            }
            println!("no violation, in {:.1} s", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}
