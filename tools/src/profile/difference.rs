//! `skyring profile diff`: what became more and less between two profiles.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skyring_bench::{Difference, Profile};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail, ignore_broken_pipe};
use crate::shared::output_file::OutputFile;

const EXAMPLES: &str = "\
Examples:
  skyring bench --profile before.json                    a profile with the number of calls
  skyring profile 4711 --save before.json                a profile of a running process
  skyring profile diff before.json after.json --output diff.svg

Where both profiles have the number of calls, as those of skyring bench do, times are processor time a call; otherwise \
parts of all processor time. The time of a function is its own, without the functions that it calls.

Exit codes: 0 success, 1 failure, 2 the arguments or a file are invalid.";

/// The arguments of `skyring profile diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The profile before
    #[arg(value_name = "OLD")]
    before: PathBuf,
    /// The profile after
    #[arg(value_name = "NEW")]
    after: PathBuf,
    /// Write the graph, an SVG, to this file
    #[arg(long, value_name = "FILE", default_value = "diff.svg")]
    output: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let profiles = read(&arguments.before).and_then(|before| Ok((before, read(&arguments.after)?)));
    let profiles = profiles.and_then(|profiles| Ok((profiles, OutputFile::create(Some(&arguments.output))?)));
    let ((before, after), file) = match profiles {
        Ok(ready) => ready,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    if before.profiling != after.profiling {
        return fail(
            EXIT_USAGE,
            "one is a profile of processor time and the other one of waiting: they cannot be compared",
        );
    }
    let difference = Difference::of(&before, &after);
    let title = format!("{} to {}", arguments.before.display(), arguments.after.display());
    let graph = difference.to_svg(&title).map_err(|error| error.to_string());
    let written = graph.and_then(|graph| file.map_or(Ok(()), |mut file| file.write(&graph)));
    if let Err(cause) = written {
        return fail(EXIT_FAILURE, cause);
    }
    match ignore_broken_pipe(print(&mut anstream::stdout(), &difference, &arguments.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn read(file: &Path) -> Result<Profile, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Profile::from_json(&text).map_err(|cause| format!("{}: {cause}", file.display()))
}

fn print(out: &mut impl Write, difference: &Difference, file: &Path) -> io::Result<()> {
    out.write_all(difference.changes().to_text().as_bytes())?;
    writeln!(out, "{}", escape_line(&file.display().to_string()))
}
