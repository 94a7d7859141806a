//! `skyring bench record`: measures a revision and appends its figures to a history.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use skyring_bench::Interrupt;
use skyring_bench::floors::Launcher;
use skyring_bench::history::{
    HistoryError, ROUNDS_DEFAULT, Record, RecordPlan, RevisionFacts, append_record, check_history,
    has_changes, record, revision_facts,
};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail};
use crate::shared::programs::FLOOR_SERVER;
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench record docs/history/two-cores.jsonl
  skyring bench record history.jsonl --program ./skyring-old --revision v0.1.0
  skyring bench history history.jsonl --html history.html

A record is a line of JSON: closed loops with 1, 64 and 256 calls in flight, parking and spinning, calls from Lua to Lua, \
each beside a floor that is measured right before, and what a call costs in system calls, allocations and bytes. A round \
takes about half a minute. Run it in a checkout of the repository, on an otherwise idle machine, several times for each \
revision.

Exit codes: 0 success, 1 a failure, 2 the arguments, the file or the tree are invalid.";

/// Most rounds of a record.
const ROUNDS_MAX: i64 = 1_000;

/// The arguments of `skyring bench record`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The history: a file of JSON lines, created if it is not there
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Record another skyring, which may be an older one [default: this program]
    #[arg(long, value_name = "PATH", requires = "revision")]
    program: Option<PathBuf>,
    /// The git revision that --program was built of [without --program: HEAD]
    #[arg(long, value_name = "REVISION", requires = "program")]
    revision: Option<String>,
    /// How often each figure is measured
    #[arg(long, value_name = "N", default_value_t = ROUNDS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// Record a tree with changes that are not committed; the record is marked
    #[arg(long, conflicts_with = "program")]
    allow_dirty: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    // Before the measurement, which takes minutes.
    let plan = match plan(arguments).and_then(|plan| {
        check_history(&arguments.file).map_err(text)?;
        Ok(plan)
    }) {
        Ok(plan) => plan,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    match measure(arguments, &plan, &interrupt) {
        Ok(record) => {
            StatusLine::new().print_line(format_args!(
                "recorded {} ({}) in {}",
                record.revision.get(..12).unwrap_or(&record.revision),
                record.revision_date,
                arguments.file.display()
            ));
            ExitCode::SUCCESS
        }
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn measure(arguments: &Arguments, plan: &RecordPlan, interrupt: &Interrupt) -> Result<Record, HistoryError> {
    let status = StatusLine::new();
    let recorded = record(plan, interrupt, |round, case| {
        status.show(format_args!("round {round} of {}: {case}", plan.rounds));
    })?;
    append_record(&arguments.file, &recorded)?;
    Ok(recorded)
}

fn text(error: HistoryError) -> String {
    error.to_string()
}

fn plan(arguments: &Arguments) -> Result<RecordPlan, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let (program, revision, is_dirty) = match (&arguments.program, &arguments.revision) {
        (Some(program), Some(revision)) => {
            // A name without a folder would be looked up among the installed programs.
            let found = program.canonicalize().ok().filter(|found| found.is_file());
            let found = found.ok_or_else(|| format!("{}: it is not a file", program.display()))?;
            (found, revision_facts(revision).map_err(text)?, false)
        }
        _ => {
            let head = revision_facts("HEAD").map_err(text)?;
            let is_dirty = has_changes(&arguments.file).map_err(text)?;
            if is_dirty && !arguments.allow_dirty {
                return Err(
                    "the tree has changes that are not committed: commit them, or mark the record with --allow-dirty"
                        .to_owned(),
                );
            }
            check_age(&own, &head)?;
            (own.clone(), head, is_dirty)
        }
    };
    Ok(RecordPlan {
        lua: Launcher::program(program.clone(), FLOOR_SERVER),
        floors: Launcher::program(own, FLOOR_SERVER),
        program,
        revision,
        is_dirty,
        rounds: arguments.rounds,
    })
}

/// Refuses a program that cannot have been built of the revision.
fn check_age(program: &Path, head: &RevisionFacts) -> Result<(), String> {
    let built = fs::metadata(program).and_then(|metadata| metadata.modified());
    let built = built.map_err(|error| format!("{}: {error}", program.display()))?;
    let built = built
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if built < head.unix {
        return Err(format!(
            "this program is older than HEAD, which was committed {}: build it again, or name its own revision with --program and --revision",
            head.date
        ));
    }
    Ok(())
}
