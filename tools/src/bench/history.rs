//! `skyring bench history`: draws the figures of a history, and marks where they changed.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use skyring_bench::history::{History, read_history};

use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};
use crate::shared::output_file::OutputFile;

const EXAMPLES: &str = "\
Examples:
  skyring bench history docs/history/two-cores.jsonl
  skyring bench history history.jsonl --html history.html

Revisions are in the order of their commits, and records of different machines are kept apart. A change is marked with * \
at the first revision after it, if chance makes one as clear in at most one of twenty histories without any change.

Exit codes: 0 success, 1 the page cannot be written, 2 the arguments or a file are invalid.";

/// The arguments of `skyring bench history`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The history that skyring bench record wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write a page with charts to this file
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let records = match read_history(&arguments.file) {
        Ok(records) => records,
        Err(error) => return fail(EXIT_USAGE, error),
    };
    let mut page = match OutputFile::create(arguments.html.as_deref()) {
        Ok(page) => page,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let history = History::of(&records);
    if let Some(page) = &mut page
        && let Err(cause) = page.write(history.to_html().as_bytes())
    {
        return fail(EXIT_FAILURE, cause);
    }
    match ignore_broken_pipe(anstream::stdout().write_all(history.to_text().as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}
