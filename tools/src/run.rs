//! To come.

use std::process::ExitCode;

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Does it.
pub(crate) fn run(_arguments: Arguments) -> ExitCode {
    ExitCode::SUCCESS
}
