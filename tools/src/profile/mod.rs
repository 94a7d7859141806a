//! `skyring profile`: the processor time of a process, or where its threads wait, as a flame graph, and the difference between
//! two profiles.

mod difference;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use skyring_bench::{Interrupt, Profiled, Profiling, Recorder};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail, ignore_broken_pipe};
use crate::shared::programs::SAMPLES_PER_SECOND;

const EXAMPLES: &str = "\
Examples:
  skyring profile 4711                                   ten seconds of process 4711, to profile.svg
  skyring profile 4711 --seconds 60 --output node.svg
  skyring profile 4711 --off-cpu                         where its threads wait
  skyring profile 4711 --save before.json                also the profile itself, to be compared
  skyring profile diff before.json after.json            what became more and less

Works for any process, not only for Skyring's, and does not stop it; a user needs no privileges for their own processes. \
Open the file in a browser: a click on a frame enlarges it, Ctrl-F searches. Ctrl-C ends the profile early.

Exit codes: 0 success, 1 failure, 2 the arguments or the file are invalid.";

/// Time between two checks for the end of the profile.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The arguments of `skyring profile`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The id of the process
    #[arg(value_name = "PID", required = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    process: Option<u32>,
    /// Duration of the profile, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Show where threads wait, instead of where they use processor time
    #[arg(long)]
    off_cpu: bool,
    /// Write the graph, an SVG, to this file
    #[arg(long, value_name = "FILE", default_value = "profile.svg")]
    output: PathBuf,
    /// Write the profile itself to this file, for skyring profile diff
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write the difference between two profiles as a flame graph, and name the functions that changed most
    Diff(difference::Arguments),
}

/// Samples the process, and writes the graph.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if let Some(Action::Diff(diff)) = &arguments.action {
        return difference::run(diff);
    }
    // There is one: clap requires it without a subcommand.
    let process = arguments.process.unwrap_or_default();
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let name = name_of(process);
    let profiled = Profiled {
        process,
        name: name.clone(),
    };
    let profiling = if arguments.off_cpu {
        Profiling::Waiting
    } else {
        Profiling::Processor
    };
    let recorder = match Recorder::start(vec![profiled], profiling, SAMPLES_PER_SECOND) {
        Ok(recorder) => recorder,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    // The content of the file stays until there is a graph.
    for file in [Some(&arguments.output), arguments.save.as_ref()]
        .into_iter()
        .flatten()
    {
        if let Err(cause) = check_writable(file) {
            return fail(EXIT_USAGE, cause);
        }
    }
    let (started, time) = (Instant::now(), Duration::from_secs(arguments.seconds));
    while started.elapsed() < time && !interrupt.requested() && !recorder.is_done() {
        thread::sleep(POLL_INTERVAL.min(time.saturating_sub(started.elapsed())));
    }
    let seconds = started.elapsed().as_secs_f64();
    let written = recorder
        .stop()
        .map_err(|error| error.to_string())
        .and_then(|profile| {
            let title = format!("{name}, process {process}, {seconds:.0} s");
            let graph = profile.to_svg(&title);
            let written = graph.and_then(|graph| fs::write(&arguments.output, graph));
            written.map_err(|error| format!("{}: {error}", arguments.output.display()))?;
            if let Some(file) = &arguments.save {
                let written = fs::write(file, format!("{}\n", profile.to_json()));
                written.map_err(|error| format!("{}: {error}", file.display()))?;
            }
            Ok(match profiling {
                Profiling::Processor => format!("{} samples", profile.samples()),
                Profiling::Waiting => format!("{:.3} s of waiting, of all threads", profile.seconds()),
            })
        });
    match written {
        Ok(what) => print(&arguments.output, &what),
        Err(cause) => fail(EXIT_FAILURE, cause),
    }
}

fn print(file: &Path, what: &str) -> ExitCode {
    let file = escape_line(&file.display().to_string());
    match ignore_broken_pipe(writeln!(anstream::stdout(), "{file}: {what}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

/// Fails when the file cannot be written, before the profile has taken its time.
fn check_writable(file: &Path) -> Result<(), String> {
    let is_new = !file.exists();
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
    if is_new {
        // If that fails, the graph will replace it anyway.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// The name of a process, as the kernel has it.
fn name_of(process: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm"));
    name.map_or_else(|_| "process".to_owned(), |name| escape_line(name.trim()))
}
