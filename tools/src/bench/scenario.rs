//! `skyring bench run`: a scenario from a file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skyring_bench::{
    Interrupt, OperationFigures, Scenario, ScenarioError, ScenarioResult, duration, grouped, run_scenario,
};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout};
use crate::shared::programs::node_program;
use crate::shared::runtime::RuntimeArgument;
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench run docs/examples/scenarios/cut-in-the-middle.toml
  skyring bench run scenario.toml --seed 8 --json result.json
  skyring bench run scenario.toml --list 20          the first operations of each phase, without running them

Operation n of a phase follows from the seed, the phase and n alone: the same file makes the same operations. The result \
has the file's text, the seed, the versions and the machine.

Exit codes: 0 every objective is met, 1 one is not or the scenario failed, 2 the arguments or the file are invalid.";

/// The arguments of `skyring bench run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The scenario's file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Another seed than the file's
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Print the first N operations of each phase, and run nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000), conflicts_with = "json")]
    list: Option<u64>,
    /// Write the result to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgument,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let scenario = match read(&arguments.file) {
        Ok(scenario) => scenario,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let scenario = match arguments.seed {
        Some(seed) => scenario.with_seed(seed),
        None => scenario,
    };
    if let Some(count) = arguments.list {
        return match ignore_broken_pipe(list(&scenario, count)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILURE, error),
        };
    }
    let json = OutputFile::create(arguments.json.as_deref());
    let (mut json, runtime) = match json.and_then(|json| Ok((json, arguments.runtime.selected()?))) {
        Ok(ready) => ready,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let result = measure(&scenario, runtime);
    let result = match result {
        Ok(result) => result,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let line = format!("{}\n", result.to_json());
    if let Some(file) = &mut json
        && let Err(cause) = file.write(line.as_bytes())
    {
        return fail(EXIT_FAILURE, cause);
    }
    let mut out = anstream::stdout();
    let printed = if arguments.json.as_deref().is_some_and(is_stdout) {
        out.write_all(line.as_bytes())
    } else {
        print(&mut out, &scenario, &result)
    };
    if let Err(error) = ignore_broken_pipe(printed) {
        return fail(EXIT_FAILURE, error);
    }
    let missed = result.objectives.iter().filter(|verdict| !verdict.is_met).count();
    if missed > 0 {
        let all = result.objectives.len();
        return fail(EXIT_FAILURE, format!("{missed} of {all} objectives are not met"));
    }
    ExitCode::SUCCESS
}

fn read(file: &Path) -> Result<Scenario, String> {
    let named = |cause: String| format!("{}: {cause}", file.display());
    let text = fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    Scenario::parse(&text).map_err(|error| named(error.to_string()))
}

fn measure(scenario: &Scenario, runtime: skyring::Runtime) -> Result<ScenarioResult, ScenarioError> {
    let interrupt = Interrupt::catch()?;
    let status = StatusLine::new();
    if !status.is_terminal() {
        status.print_line(format_args!(
            "{} phases, {} s",
            scenario.phases().len(),
            scenario.duration().as_secs_f64()
        ));
    }
    run_scenario(
        scenario,
        runtime,
        &node_program()?,
        &interrupt,
        |phase, elapsed| {
            status.show(format_args!("{phase}: {:.1} s", elapsed.as_secs_f64()));
        },
    )
}

fn list(scenario: &Scenario, count: u64) -> io::Result<()> {
    let mut out = io::BufWriter::new(anstream::stdout());
    for (phase, name) in scenario.phases().enumerate() {
        writeln!(out, "{name}")?;
        for number in 0..count {
            let operation = scenario.operation(phase, number);
            writeln!(out, "{number:>8}  {}", scenario.describe(&operation))?;
        }
    }
    out.flush()
}

fn print(out: &mut impl Write, scenario: &Scenario, result: &ScenarioResult) -> io::Result<()> {
    let (name, description) = scenario.title();
    writeln!(out, "{name}, seed {}", result.seed)?;
    if !description.is_empty() {
        writeln!(out, "{description}")?;
    }
    writeln!(
        out,
        "\n{:<26}{:>11}{:>11}{:>10}{:>10}{:>10}{:>10}{:>9}",
        "", "answered", "a second", "p50", "p99", "p99.9", "max", "errors"
    )?;
    for phase in &result.phases {
        let waited = match (phase.backlog_max, phase.unanswered) {
            (0, 0) => String::new(),
            (backlog, unanswered) => format!(
                "; up to {} waited to begin, {} had no answer",
                grouped(backlog as f64),
                grouped(unanswered as f64)
            ),
        };
        writeln!(
            out,
            "{}, {:.1} s: {} operations with the digest {}{waited}",
            phase.name,
            phase.seconds,
            grouped(phase.begun as f64),
            phase.digest
        )?;
        for operation in &phase.operations {
            row(out, operation)?;
        }
    }
    if !result.objectives.is_empty() {
        writeln!(out)?;
    }
    for verdict in &result.objectives {
        let is_met = if verdict.is_met { "met" } else { "NOT MET" };
        writeln!(out, "{:<60}{:>18}  {is_met}", verdict.objective, verdict.found)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, figures: &OperationFigures) -> io::Result<()> {
    let latency = &figures.latency_us;
    write!(
        out,
        "  {:<24}{:>11}{:>11}{:>10}{:>10}{:>10}{:>10}{:>9}",
        figures.name,
        grouped(figures.answered as f64),
        grouped(figures.per_second),
        duration(latency.p50),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max),
        grouped(figures.errors_total() as f64)
    )?;
    let codes: Vec<_> = figures
        .errors
        .iter()
        .map(|(code, count)| format!("{count} {code}"))
        .collect();
    if codes.is_empty() {
        return writeln!(out);
    }
    writeln!(out, "  {}", codes.join(", "))
}
