//! `skyring bench targets`: the performance targets, each figure beside the floor of its target.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skyring_bench::floors::Launcher;
use skyring_bench::targets::{Context, Target, TargetResult, Wanted, results_json};
use skyring_bench::{Interrupt, PairError};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout};
use crate::shared::programs::{FLOOR_SERVER, node_program};
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench targets                     all targets, about three minutes
  skyring bench targets half-rate           p99 of an open loop at half of the maximum rate, beside its p50
  skyring bench targets --json targets.json

A ratio is of medians of --runs, in which both sides are measured in turn. Use a release build on an idle machine. \
Exit codes: 0 all targets are met, 1 a target is not met or a failure, 2 the arguments or the file are invalid.";

/// The arguments of `skyring bench targets`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Targets to measure [default: all]
    #[arg(value_name = "NAME", value_parser = target_named)]
    names: Vec<Target>,
    /// Measurements of each figure
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Milliseconds of each measurement, after a quarter of them as warm-up
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    milliseconds: u64,
    /// Write the results to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn target_named(name: &str) -> Result<Target, String> {
    Target::named(name).ok_or_else(|| {
        let names: Vec<_> = Target::ALL.iter().map(|target| target.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file = match OutputFile::create(arguments.json.as_deref()) {
        Ok(file) => file,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let results = match measure(arguments) {
        Ok(results) => results,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let json = format!("{}\n", results_json(&results));
    let written = file.map_or(Ok(()), |mut file| file.write(json.as_bytes()));
    let mut out = anstream::stdout();
    let printed = if arguments.json.as_deref().is_some_and(is_stdout) {
        out.write_all(json.as_bytes())
    } else {
        print(&mut out, &results)
    };
    let printed = ignore_broken_pipe(printed).map_err(|error| error.to_string());
    if let Err(cause) = written.and(printed) {
        return fail(EXIT_FAILURE, cause);
    }
    match results.iter().filter(|finding| !finding.met).count() {
        0 => ExitCode::SUCCESS,
        missed => fail(EXIT_FAILURE, format!("{missed} of {} are not met", results.len())),
    }
}

fn measure(arguments: &Arguments) -> Result<Vec<TargetResult>, PairError> {
    let interrupt = Interrupt::catch()?;
    let (node, launcher) = (node_program()?, Launcher::this_program(FLOOR_SERVER)?);
    let course = Context {
        node: &node,
        launcher: &launcher,
        interrupt: &interrupt,
        runs: arguments.runs as usize,
        duration: Duration::from_millis(arguments.milliseconds),
    };
    let mut targets = Target::ALL.to_vec();
    targets.retain(|target| arguments.names.is_empty() || arguments.names.contains(target));
    let status = StatusLine::new();
    let mut results = Vec::new();
    for target in targets {
        if !status.is_terminal() {
            status.print_line(target.name());
        }
        let found = target.measure(&course, &mut |what| {
            status.show(format_args!("{}: {what}", target.name()));
        })?;
        results.extend(found);
    }
    Ok(results)
}

fn print(out: &mut impl Write, results: &[TargetResult]) -> io::Result<()> {
    writeln!(
        out,
        "{:<16}{:<62}{:>19}{:>19}{:>9}{:>10}  met",
        "", "", "figure", "beside", "ratio", "wanted"
    )?;
    let mut last = "";
    for finding in results {
        let name = if finding.target == last {
            ""
        } else {
            finding.target
        };
        last = finding.target;
        let wanted = match finding.wanted {
            Wanted::AtLeast(least) => format!(">= {least}"),
            Wanted::AtMost(most) => format!("<= {most}"),
        };
        writeln!(
            out,
            "{name:<16}{:<62}{:>19}{:>19}{:>9.3}{wanted:>10}  {}",
            finding.what,
            finding.figure,
            finding.floor,
            finding.ratio,
            if finding.met { "yes" } else { "NO" }
        )?;
    }
    Ok(())
}
