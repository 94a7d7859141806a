//! `skyring check`: describes a node config or a cluster map, or reports why it is invalid.

mod report;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use skyring::config::Checked;

use self::report::{map_report, node_report};
use crate::shared::node_config::check_kinds;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};

const EXAMPLES: &str = "\
Examples:
  skyring check docs/examples/cluster/config_db
  skyring check docs/examples/cluster/clustername.lua

Prints whether the file is a node config or a cluster map, and then its content. It starts nothing and opens no \
port. An invalid file is reported in one line with the file, the key and the cause, exit code 2.";

/// The arguments of `skyring check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A node config or a cluster map
    file: PathBuf,
}

/// Checks a file, and prints its description.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let report = match skyring::config::check(&arguments.file) {
        Ok(Checked::Map(map, warnings)) => map_report(&arguments.file, &map, &warnings),
        Ok(Checked::Node(config, map)) => match check_kinds(&config) {
            Ok(()) => node_report(&config, map.as_ref()),
            Err(error) => return fail(EXIT_USAGE, error),
        },
        Err(error) => return fail(EXIT_USAGE, error),
    };
    match ignore_broken_pipe(io::stdout().write_all(report.as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, format!("cannot write: {error}")),
    }
}
