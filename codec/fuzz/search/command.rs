//! The command `fuzz` of a crate that has entries.

use std::path::Path;
use std::process::ExitCode;

use super::arguments::{Action, Arguments, USAGE};
use super::campaign::{Campaign, Limit};
use super::hex::hex;
use super::shrink::shrink;
use super::watchdog::Watchdog;
use super::{ENDLESS, Failure, judge, process_time, seed_new};
use crate::entries::Entry;

/// Executions after which a longer search says how far it is.
const REPORT_EXECUTIONS: u64 = 1_000_000;

/// Runs the command with the arguments of this process. `inject` switches the deliberate bug of `--fault` on.
pub fn run(inject: fn(Option<&str>) -> Result<(), String>) -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(refused) => {
            eprintln!("{refused}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let fault = arguments.fault.as_deref();
    if let Err(error) = inject(fault) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let is_clean = match arguments.action {
        Action::Search { limit, seed } => search_all(&arguments.entries, limit, seed, fault),
        Action::Replay(input) => arguments.entries.iter().all(|entry| replay(entry, &input, fault)),
        Action::WriteSamples(folder) => match write_samples(&arguments.entries, Path::new(&folder)) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("{folder}: {error}");
                return ExitCode::from(2);
            }
        },
    };
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs each entry until the limit; whether none failed.
fn search_all(entries: &[Entry], limit: Limit, seed: Option<u64>, fault: Option<&str>) -> bool {
    let seed = seed.unwrap_or_else(seed_new);
    println!("seed {seed}");
    let watchdog = watchdog(fault);
    let mut failed = Vec::new();
    for entry in entries {
        let began = process_time();
        let mut campaign = Campaign::new(entry, seed);
        let outcome = run_and_report(&mut campaign, limit, &watchdog);
        println!(
            "{:>16}: {} executions in {:.1} s of processor time, {} inputs retained for {} features",
            entry.name,
            campaign.executions(),
            process_time().saturating_sub(began).as_secs_f64(),
            campaign.retained(),
            campaign.features()
        );
        if let Err((input, failure)) = outcome {
            println!("{}: {failure}", entry.name);
            println!("it was execution {} from seed {seed}", campaign.executions());
            println!("the input, {} bytes: {}", input.len(), hex(&input));
            let (input, failure) = shrink(entry, &input, failure, &watchdog);
            print_failure(entry, &input, &failure.to_string(), fault);
            failed.push(entry.name);
        }
    }
    if failed.is_empty() {
        println!("clean");
    } else {
        println!("failed: {}", failed.join(", "));
    }
    failed.is_empty()
}

/// Runs a campaign until the limit, and says now and then how far a long one is.
fn run_and_report(
    campaign: &mut Campaign<'_>,
    limit: Limit,
    watchdog: &Watchdog,
) -> Result<(), (Vec<u8>, Failure)> {
    let Limit::Executions(count) = limit else {
        return campaign.run(limit, watchdog);
    };
    loop {
        let next = (campaign.executions() + REPORT_EXECUTIONS).min(count);
        campaign.run(Limit::Executions(next), watchdog)?;
        if next == count {
            return Ok(());
        }
        println!("{next} of {count}");
    }
}

/// Reports an execution that does not end, and ends the process.
fn watchdog(fault: Option<&str>) -> Watchdog {
    let fault = fault.map(str::to_owned);
    Watchdog::start(move |entry, input| {
        let text = format!("has not ended after {} s", ENDLESS.as_secs());
        print_failure(entry, input, &text, fault.as_deref());
    })
}

fn print_failure(entry: &Entry, input: &[u8], text: &str, fault: Option<&str>) {
    let (feature, fault) = match fault {
        None => ("", String::new()),
        Some(fault) => (" --features faults", format!(" --fault {fault}")),
    };
    println!(
        "{}: {text}\nthe input, {} bytes; to run it again:",
        entry.name,
        input.len()
    );
    println!(
        "cargo run --profile fuzz -p {}{feature} --example {} -- --entry {} --input {}{fault}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_CRATE_NAME"),
        entry.name,
        if input.is_empty() {
            "''".to_owned()
        } else {
            hex(input)
        },
    );
}

/// Runs one input; whether it passes.
fn replay(entry: &Entry, input: &[u8], fault: Option<&str>) -> bool {
    let outcome = watchdog(fault).watch(entry, input, || judge(entry.run, input));
    match &outcome {
        Ok(_) => println!("{}: {} bytes, clean", entry.name, input.len()),
        Err(failure) => {
            println!("{}: {} bytes: {failure}", entry.name, input.len());
            // Once more as an ordinary panic, which shows where it came from when that is asked for.
            let _ = std::panic::catch_unwind(|| (entry.run)(input));
        }
    }
    outcome.is_ok()
}

fn write_samples(entries: &[Entry], folder: &Path) -> std::io::Result<()> {
    for entry in entries {
        let folder = folder.join(entry.name);
        std::fs::create_dir_all(&folder)?;
        for (number, sample) in (entry.samples)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("sample-{number}")), sample)?;
        }
    }
    Ok(())
}
