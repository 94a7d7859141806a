//! `skyring bench compare`: what two sets of results say about each other.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skyring_bench::verdict::Figure;
use skyring_bench::{Measurement, compare};

use super::verdict_arguments::{figure, margin};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout};

const EXAMPLES: &str = "\
Examples:
  skyring bench compare before.json after.json                          the ratios of two results, and no verdict
  skyring bench compare --first before-*.json --second after-*.json     a verdict, from five results on each side on

Results in files have no partners that were measured at the same time: what changed on the machine between both sides \
counts as a difference. skyring bench ab measures in turn, and needs less time for a surer verdict.

Exit codes: 0 faster or no difference, 3 slower, 4 cannot tell, 1 a failure, 2 the arguments or a file are invalid.";

/// Largest file that is read, in bytes, and most files of a side.
const FILE_BYTES_MAX: u64 = 16 << 20;
const FILES_MAX: usize = 100;

/// The arguments of `skyring bench compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A result of --json of the first side
    #[arg(
        value_name = "A.json",
        required_unless_present = "first",
        conflicts_with = "first",
        requires = "after"
    )]
    before: Option<PathBuf>,
    /// One of the second side; ratios are those of the second to the first
    #[arg(value_name = "B.json", conflicts_with = "second")]
    after: Option<PathBuf>,
    /// Results of the first side
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "second")]
    first: Vec<PathBuf>,
    /// Results of the second side
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "first")]
    second: Vec<PathBuf>,
    /// A difference that does not matter, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2", value_parser = margin)]
    margin: f64,
    /// The figure that decides: calls/s, p50, p99, p99.9 or CPU/call [default: calls/s, or p50 of an open loop]
    #[arg(long, value_name = "NAME", value_parser = figure)]
    figure: Option<Figure>,
    /// Write the result to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result to this file as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let side = |one: &Option<PathBuf>, many: &[PathBuf]| one.iter().chain(many).cloned().collect::<Vec<_>>();
    let (first, second) = (
        side(&arguments.before, &arguments.first),
        side(&arguments.after, &arguments.second),
    );
    let (first_results, second_results) = match (read_all(&first), read_all(&second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(cause), _) | (_, Err(cause)) => return fail(EXIT_USAGE, cause),
    };
    let files = OutputFile::create(arguments.json.as_deref())
        .and_then(|json| Ok((json, OutputFile::create(arguments.html.as_deref())?)));
    let (json_file, html_file) = match files {
        Ok(files) => files,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let is_open = first_results.iter().any(|result| result.settings.rate.is_some());
    let main = arguments.figure.unwrap_or(if is_open {
        Figure::P50
    } else {
        Figure::CallsPerSecond
    });
    let comparison = compare(
        (&side_name(&first), &first_results),
        (&side_name(&second), &second_results),
        main,
        arguments.margin,
    );
    let json = format!("{}\n", comparison.to_json());
    let html = comparison.to_html();
    for (file, text) in [(json_file, &json), (html_file, &html)] {
        if let Some(mut file) = file
            && let Err(cause) = file.write(text.as_bytes())
        {
            return fail(EXIT_FAILURE, cause);
        }
    }
    let mut out = anstream::stdout();
    let printed = if arguments.json.as_deref().is_some_and(is_stdout) {
        out.write_all(json.as_bytes())
    } else {
        out.write_all(comparison.to_text().as_bytes())
    };
    match ignore_broken_pipe(printed) {
        Ok(()) => ExitCode::from(comparison.verdict.exit_code()),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

/// The file's name, or how many there are.
fn side_name(files: &[PathBuf]) -> String {
    match files {
        [file] => escape_line(&file.display().to_string()),
        files => format!("{} results", files.len()),
    }
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Measurement>, String> {
    if files.len() > FILES_MAX {
        return Err(format!(
            "{} results are too many for a side: {FILES_MAX} at most",
            files.len()
        ));
    }
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Measurement, String> {
    let cause = |cause: String| format!("{}: {cause}", file.display());
    let length = fs::metadata(file)
        .map_err(|error| cause(error.to_string()))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(cause(format!(
            "{length} bytes are too many for a result of skyring bench"
        )));
    }
    let text = fs::read_to_string(file).map_err(|error| cause(error.to_string()))?;
    Measurement::from_json(&text).map_err(cause)
}
