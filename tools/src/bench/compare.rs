//! `skyring bench compare`: the changes between two results.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skyring_bench::{Measurement, compare};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, escape_line, fail};

const EXAMPLES: &str = "\
Examples:
  skyring bench --json before.json
  skyring bench --json after.json
  skyring bench compare before.json after.json";

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The arguments of `skyring bench compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A result of --json
    #[arg(value_name = "A.json")]
    first: PathBuf,
    /// Another result; ratios are those of the second to the first
    #[arg(value_name = "B.json")]
    second: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (first, second) = match (read(&arguments.first), read(&arguments.second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(cause), _) | (_, Err(cause)) => return fail(EXIT_USAGE, cause),
    };
    let table = compare(
        (&display_name(&arguments.first), &first),
        (&display_name(&arguments.second), &second),
    );
    match anstream::stdout().write_all(table.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn display_name(file: &Path) -> String {
    escape_line(&file.display().to_string())
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
