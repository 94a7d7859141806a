//! `skyring bench ab`: two programs, revisions or settings, measured in turn until the answer is clear.

use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use skyring_bench::ab::{
    AbError, AbPlan, AbProfilePlan, AbProfiled, AbResult, AbSide, Revision, build_revision, is_revision,
    profile_ab, run_ab,
};
use skyring_bench::verdict::{Figure, PairedComparison};
use skyring_bench::{Interrupt, Profiling, Recorder};

use super::verdict_arguments::{figure, margin};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout, waiting_file};
use crate::shared::programs::SAMPLES_PER_SECOND;
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench ab ./skyring-old ./skyring-new
  skyring bench ab main my-branch              two git revisions, built in worktrees of their own
  skyring bench ab --a \"--spin-us 0\" --b \"--spin-us 50\"
  skyring bench ab old new --minutes 5 -- --in-flight 1
  skyring bench ab old new --figure p99 -- --rate 500k
  skyring bench ab old new --flamegraph diff.svg     also where the processor time has become more and less

OLD and NEW are files of a program or git revisions; without them both sides are this program, and with OLD alone both \
are OLD. Arguments of --a and --b are separated by spaces, and those after -- are for both sides: they are arguments of \
skyring bench, except those for its length and output.

The verdict is faster, slower, \"no difference larger than X %\", or \"cannot tell\". Exit codes: 0 faster or no \
difference, 3 slower, 4 cannot tell, 1 a failure, 2 the arguments are invalid.";

/// Bounds of `--minutes`, and of a window.
const MINUTES_MAX: f64 = 1_440.0;
const WINDOW_MS_MAX: u64 = 60_000;

/// Options of `skyring bench` that the comparison sets itself, or that have no place in it.
const REFUSED: [&str; 9] = [
    "--seconds",
    "--warmup",
    "--json",
    "--hgrm",
    "--html",
    "--flamegraph",
    "--find-max",
    "--slo",
    "--windows",
];

/// The arguments of `skyring bench ab`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The old program: a file or a git revision [default: this program]
    #[arg(value_name = "OLD")]
    old: Option<String>,
    /// The new one [default: OLD]
    #[arg(value_name = "NEW")]
    new: Option<String>,
    /// Settings of the old side only
    #[arg(
        long = "a",
        value_name = "ARGUMENTS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    first: String,
    /// Settings of the new side only
    #[arg(
        long = "b",
        value_name = "ARGUMENTS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    second: String,
    /// Longest time, without builds; it ends when the answer is clear
    #[arg(long, value_name = "N", default_value = "2", value_parser = minutes)]
    minutes: Duration,
    /// A difference that does not matter, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2", value_parser = margin)]
    margin: f64,
    /// The figure that decides: calls/s, p50, p99, p99.9 or CPU/call [default: calls/s, or p50 with --rate]
    #[arg(long, value_name = "NAME", value_parser = figure)]
    figure: Option<Figure>,
    /// Milliseconds of a window
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(20..=WINDOW_MS_MAX))]
    window: u64,
    /// Repeat the order of an earlier comparison
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the result to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result to this file as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// After the verdict, profile both sides and write a differential flame graph to this file, and one of waiting beside it
    #[arg(long, value_name = "FILE")]
    flamegraph: Option<PathBuf>,
    /// Seconds for that, of both sides together
    #[arg(long, value_name = "N", default_value_t = 20, requires = "flamegraph", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    profile_seconds: u64,
    /// Arguments of skyring bench for both sides
    #[arg(value_name = "ARG", last = true)]
    arguments: Vec<OsString>,
}

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= MINUTES_MAX => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err(format!("expected minutes, more than 0 and at most {MINUTES_MAX}")),
    }
}

/// The files that the arguments name.
struct Files {
    json: Option<OutputFile>,
    html: Option<OutputFile>,
    graph: Option<OutputFile>,
}

/// The graphs that were made.
#[derive(Default)]
struct Graphs {
    processor: Option<Vec<u8>>,
    waiting: Option<Vec<u8>>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let files = match check(arguments).and_then(|()| files(arguments)) {
        Ok(files) => files,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    // The kernel's refusal is not for the end of a comparison that takes minutes.
    if arguments.flamegraph.is_some()
        && let Err(error) = Recorder::check(Profiling::Processor, SAMPLES_PER_SECOND)
    {
        return fail(EXIT_FAILURE, error);
    }
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let (mut result, profiled) = match compare(arguments, &interrupt) {
        Ok(compared) => compared,
        Err(Failure::Usage(cause)) => return fail(EXIT_USAGE, cause),
        Err(Failure::Ab(error @ AbError::Arguments { .. })) => return fail(EXIT_USAGE, error),
        Err(Failure::Ab(error)) => return fail(EXIT_FAILURE, error),
    };
    // A comparison without its graph is still one, and is written before the error.
    let mut graphs = Graphs::default();
    let error = match profiled {
        Some(Ok(profiled)) => {
            result.profile = Some(profiled.profile);
            graphs.processor = Some(profiled.graph);
            graphs.waiting = profiled.waiting_graph;
            None
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    match (write(arguments, files, &result, &graphs), error) {
        (Ok(()), None) => ExitCode::from(result.verdict.exit_code()),
        (Ok(()), Some(error)) => fail(EXIT_FAILURE, error),
        (Err(cause), _) => fail(EXIT_FAILURE, cause),
    }
}

fn files(arguments: &Arguments) -> Result<Files, String> {
    Ok(Files {
        json: OutputFile::create(arguments.json.as_deref())?,
        html: OutputFile::create(arguments.html.as_deref())?,
        graph: OutputFile::create(arguments.flamegraph.as_deref())?,
    })
}

/// Why there is no result.
enum Failure {
    Usage(String),
    Ab(AbError),
}

impl From<AbError> for Failure {
    fn from(error: AbError) -> Failure {
        Failure::Ab(error)
    }
}

/// Checks what the command line's parser cannot.
fn check(arguments: &Arguments) -> Result<(), String> {
    for argument in all_arguments(arguments) {
        let argument = argument.to_string_lossy();
        let name = argument.split('=').next().unwrap_or_default();
        if REFUSED.contains(&name) {
            return Err(format!(
                "{name} is not an argument of a side: bench ab sets length and output itself"
            ));
        }
    }
    Ok(())
}

fn all_arguments(arguments: &Arguments) -> impl Iterator<Item = OsString> + '_ {
    let own = arguments
        .first
        .split_whitespace()
        .chain(arguments.second.split_whitespace());
    own.map(OsString::from).chain(arguments.arguments.iter().cloned())
}

/// A side's program, with what keeps its file.
struct Built {
    file: PathBuf,
    name: String,
    _revision: Option<Revision>,
}

/// The result, and the profile if it is wanted.
type Compared = (AbResult, Option<Result<AbProfiled, AbError>>);

fn compare(arguments: &Arguments, interrupt: &Interrupt) -> Result<Compared, Failure> {
    let old = arguments.old.as_deref();
    let first = program(old, interrupt)?;
    // The same text is the same program: a revision is built once.
    let second = match arguments.new.as_deref() {
        Some(new) if Some(new) != old => Some(program(Some(new), interrupt)?),
        _ => None,
    };
    let side = |name, built: &Built, own: &str| {
        let own = own.split_whitespace().map(OsString::from);
        let all: Vec<OsString> = own.chain(arguments.arguments.iter().cloned()).collect();
        let texts = all.iter().map(|argument| argument.to_string_lossy());
        let description = std::iter::once(built.name.as_str().into())
            .chain(texts)
            .collect::<Vec<_>>();
        AbSide {
            name,
            program: built.file.clone(),
            description: escape_line(&description.join(" ")),
            arguments: all,
        }
    };
    let is_open = all_arguments(arguments).any(|argument| argument.to_string_lossy().starts_with("--rate"));
    let plan = AbPlan {
        sides: [
            side("A", &first, &arguments.first),
            side("B", second.as_ref().unwrap_or(&first), &arguments.second),
        ],
        window: Duration::from_millis(arguments.window),
        time_max: arguments.minutes,
        seed: arguments.seed.unwrap_or_else(random_seed),
        main: arguments.figure.unwrap_or(if is_open {
            Figure::P50
        } else {
            Figure::CallsPerSecond
        }),
        margin_percent: arguments.margin,
    };
    let status = StatusLine::new();
    if !status.is_terminal() {
        status.print_line(format_args!(
            "measuring pairs for at most {} s, seed {}",
            plan.time_max.as_secs_f64(),
            plan.seed
        ));
    }
    let result = run_ab(&plan, interrupt, |comparison, pairs| {
        if status.is_terminal() {
            status.show(progress(comparison, pairs, plan.main));
        }
    })?;
    let profiled = arguments.flamegraph.as_ref().map(|_| {
        let how = AbProfilePlan {
            time: Duration::from_secs(arguments.profile_seconds),
            frequency: SAMPLES_PER_SECOND,
        };
        profile_ab(&plan, how, interrupt, |part| {
            if status.is_terminal() {
                status.show(format!("{}; profiled {:.0} %", result.text, part * 100.0));
            }
        })
    });
    Ok((result, profiled))
}

/// The main figure so far.
fn progress(comparison: &PairedComparison, pairs: usize, main: Figure) -> String {
    let figures = comparison.figures();
    let result = figures.iter().find(|result| result.figure == main);
    let interval = result.and_then(|result| result.low.zip(result.high));
    let ratio = result.map_or(f64::NAN, |result| result.ratio);
    let interval = interval.map_or_else(String::new, |(low, high)| format!(", {low:.3} to {high:.3}"));
    format!("{pairs} pairs: {} {ratio:.3} x{interval}", main.name())
}

/// 64 bits that differ from run to run.
fn random_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn program(text: Option<&str>, interrupt: &Interrupt) -> Result<Built, Failure> {
    let Some(text) = text else {
        return Ok(Built {
            file: std::env::current_exe().map_err(AbError::from)?,
            name: "this program".to_owned(),
            _revision: None,
        });
    };
    let path = Path::new(text);
    if path.is_file() {
        return Ok(Built {
            // A name without a folder would be looked up among the installed programs.
            file: path.canonicalize().map_err(AbError::from)?,
            name: text.to_owned(),
            _revision: None,
        });
    }
    let Some(commit) = is_revision(text) else {
        return Err(Failure::Usage(format!(
            "{text} is neither a file nor a git revision"
        )));
    };
    let status = StatusLine::new();
    status.print_line(format_args!(
        "building {text} ({})",
        commit.get(..12).unwrap_or(&commit)
    ));
    let revision = build_revision(text, &commit, interrupt)?;
    Ok(Built {
        file: revision.program.clone(),
        name: format!(
            "{text} ({})",
            revision.commit.get(..12).unwrap_or(&revision.commit)
        ),
        _revision: Some(revision),
    })
}

fn write(arguments: &Arguments, mut files: Files, result: &AbResult, graphs: &Graphs) -> Result<(), String> {
    let json = format!("{}\n", result.to_json());
    if let Some(file) = &mut files.json {
        file.write(json.as_bytes())?;
    }
    if let Some(file) = &mut files.html {
        file.write(result.to_html().as_bytes())?;
    }
    if let (Some(file), Some(graph)) = (&mut files.graph, &graphs.processor) {
        file.write(graph)?;
    }
    if let (Some(path), Some(graph)) = (&arguments.flamegraph, &graphs.waiting)
        && let Some(mut file) = OutputFile::create(Some(&waiting_file(path)))?
    {
        file.write(graph)?;
    }
    let mut out = anstream::stdout();
    let printed = if arguments.json.as_deref().is_some_and(is_stdout) {
        out.write_all(json.as_bytes())
    } else {
        out.write_all(result.to_text().as_bytes())
    };
    ignore_broken_pipe(printed).map_err(|error| error.to_string())
}
