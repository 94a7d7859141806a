//! `skyring bench targets`: what Skyring promises for its speed, measured beside what each promise is about.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use skyring_bench::floors::Launcher;
use skyring_bench::targets::{Context, Target, TargetResult, Wanted, results_json};
use skyring_bench::{Interrupt, PairError};

use crate::bench_peers::FLOOR_SERVER;
use crate::demo::node_program;
use crate::say::{self, FAILED, WRONG};

const EXAMPLES: &str = "\
Examples:
  skyring bench targets                     all of them, about three minutes
  skyring bench targets half-rate           p99 of an open loop at half of the maximum rate, beside its p50
  skyring bench targets --json targets.json

A ratio is of medians of --runs, in which what is compared takes turns. Leave the machine alone meanwhile, and use a \
release build. Exit codes: 0 all are met, 1 one is not or it did not work, 2 the arguments or the file are wrong.";

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Which ones [default: all]
    #[arg(value_name = "NAME", value_parser = target_named)]
    names: Vec<Target>,
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Milliseconds that are measured each time, after a quarter of them that are not
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    milliseconds: u64,
    /// Write what was found to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn target_named(name: &str) -> Result<Target, String> {
    Target::named(name).ok_or_else(|| {
        let names: Vec<_> = Target::ALL.iter().map(|target| target.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file = match arguments.json.as_deref().filter(|file| !is_stdout(file)) {
        None => None,
        Some(path) => match std::fs::File::create(path) {
            Ok(file) => Some(file),
            Err(error) => {
                return say::fail(WRONG, format!("{}: cannot be written: {error}", path.display()));
            }
        },
    };
    let findings = match measure(arguments) {
        Ok(findings) => findings,
        Err(error) => return say::fail(FAILED, error),
    };
    let json = results_json(&findings);
    let written = file.map_or(Ok(()), |mut file| writeln!(file, "{json}"));
    let mut out = anstream::stdout();
    let told = if arguments.json.as_deref().is_some_and(is_stdout) {
        writeln!(out, "{json}")
    } else {
        print(&mut out, &findings)
    };
    match written.and(told) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return say::fail(FAILED, error),
        _ => {}
    }
    match findings.iter().filter(|finding| !finding.met).count() {
        0 => ExitCode::SUCCESS,
        missed => say::fail(FAILED, format!("{missed} of {} are not met", findings.len())),
    }
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
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
    let shows = io::stderr().is_terminal();
    let mut findings = Vec::new();
    for target in targets {
        if !shows {
            // Only a sign of life; when nobody sees it, nothing is lost.
            let _ = writeln!(io::stderr(), "{}", target.name());
        }
        let found = target.measure(&course, &mut |what| {
            if shows {
                let _ = write!(io::stderr(), "\r\x1b[K{}: {what}", target.name());
            }
        })?;
        findings.extend(found);
    }
    if shows {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Ok(findings)
}

fn print(out: &mut impl Write, findings: &[TargetResult]) -> io::Result<()> {
    writeln!(
        out,
        "{:<16}{:<62}{:>19}{:>19}{:>9}{:>10}  met",
        "", "", "figure", "beside", "ratio", "wanted"
    )?;
    let mut last = "";
    for finding in findings {
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
