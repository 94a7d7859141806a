//! Runs the simulator of links: any number of seeds, or one with its trace.
//!
//! `cargo run --release -p skyring-codec --example simulate -- [--first N] [--seeds N]`
//! `cargo run --release -p skyring-codec --example simulate -- --seed N [--trace]`
//!
//! With the feature `faults` of the crate, `--fault NAME` injects one of its deliberate bugs.

#[path = "shared/inject.rs"]
mod inject;
#[path = "../tests/simulator/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use simulation::{Trace, check_all, run};

const USAGE: &str = "usage: simulate [--first N] [--seeds N] | --seed N [--trace], with [--fault NAME]";

/// Seeds that are run by default.
const SEEDS: u64 = 10_000;

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    is_traced: bool,
    first: u64,
    seeds: Option<u64>,
    fault: Option<String>,
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
            "--fault" => parsed.fault = Some(given.next()?),
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
    let fault = arguments.fault.as_deref();
    if let Err(error) = inject::inject(fault) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
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
            // The name was checked above.
            let prepare = || drop(inject::inject(fault));
            check_all(arguments.first..end, prepare).map_err(|failure| failure.to_string())
        }
    };
    match outcome {
        Ok(counts) => {
            for (what, count) in counts.all() {
                println!("{what:>20}: {count}");
            }
            println!(
                "\nmessages in flight that disturbances met:\n{}\n",
                counts.coverage
            );
            println!("no violation, in {:.1} s", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(violation) => {
            eprintln!("{violation}");
            if let Some(fault) = fault {
                eprintln!("with the fault: --features faults before --example, --fault {fault} at the end");
            }
            ExitCode::FAILURE
        }
    }
}
