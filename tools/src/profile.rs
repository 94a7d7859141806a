//! `skyring profile`: where a process spends its processor time, as a flame graph.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use skyring_bench::{Interrupt, Profiled, Recorder};

use crate::say::{self, FAILED, WRONG};

const EXAMPLES: &str = "\
Examples:
  skyring profile 4711                                   ten seconds of process 4711, to profile.svg
  skyring profile 4711 --seconds 60 --output node.svg

Any process will do, not only one of Skyring's. It does not notice; a user needs no rights for processes of their own. \
Open the file in a browser: a click on a frame enlarges it, Ctrl-F searches. Ctrl-C ends the profile early.

Exit codes: 0 written, 1 it did not work, 2 the arguments or the file are wrong.";

/// Samples of each thread in a second of its processor time: not a round number, so that nothing which happens so
/// often is always, or never, met.
pub(crate) const SAMPLES_PER_SECOND: u32 = 499;

/// Time between two looks at whether it is over.
const POLL: Duration = Duration::from_millis(50);

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The process's id
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    process: u32,
    /// How long it is watched
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Where the graph goes, an SVG
    #[arg(long, value_name = "FILE", default_value = "profile.svg")]
    output: PathBuf,
}

/// Watches, and writes the graph.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return say::fail(FAILED, error),
    };
    let name = name_of(arguments.process);
    let profiled = Profiled {
        process: arguments.process,
        name: name.clone(),
    };
    let recorder = match Recorder::start(vec![profiled], SAMPLES_PER_SECOND) {
        Ok(recorder) => recorder,
        Err(error) => return say::fail(FAILED, error),
    };
    // What is in the file already stays there until there is a graph.
    if let Err(cause) = try_to_open(&arguments.output) {
        return say::fail(WRONG, cause);
    }
    let (started, time) = (Instant::now(), Duration::from_secs(arguments.seconds));
    while started.elapsed() < time && !interrupt.requested() && !recorder.is_done() {
        thread::sleep(POLL.min(time.saturating_sub(started.elapsed())));
    }
    let seconds = started.elapsed().as_secs_f64();
    let written = recorder
        .stop()
        .map_err(|error| error.to_string())
        .and_then(|profile| {
            let title = format!("{name}, process {}, {seconds:.0} s", arguments.process);
            let graph = profile.to_svg(&title);
            let written = graph.and_then(|graph| fs::write(&arguments.output, graph));
            written.map_err(|error| format!("{}: {error}", arguments.output.display()))?;
            Ok(profile.samples())
        });
    match written {
        Ok(samples) => told(&arguments.output, samples),
        Err(cause) => say::fail(FAILED, cause),
    }
}

fn told(file: &Path, samples: u64) -> ExitCode {
    let shown = say::one_line(&file.display().to_string());
    match writeln!(anstream::stdout(), "{shown}: {samples} samples") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => say::fail(FAILED, error),
        _ => ExitCode::SUCCESS,
    }
}

/// Fails when the file cannot be written, before anybody has waited for what is to be in it.
fn try_to_open(file: &Path) -> Result<(), String> {
    let is_new = !file.exists();
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
    if is_new {
        // If that fails, the graph will replace it anyway.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// What the kernel calls it.
fn name_of(process: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm"));
    name.map_or_else(|_| "process".to_owned(), |name| say::one_line(name.trim()))
}
