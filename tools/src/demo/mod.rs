//! `skyring demo`: three nodes in three processes, shown at work in half a minute at most.
//!
//! The program that is run is the parent: it starts `db` and `db_backup` with `skyring run` and generated
//! configs, starts the gate (this program once more, see [`gate`]), and tells the story: it asks the gate for
//! one thing after the other, kills and restarts `db`, checks what comes of it, and prints a line for each.
//!
//! Invariants: a line with `ok` is printed only when what it says was seen; every wait is bounded; no
//! process outlives the parent unless the parent is killed with SIGKILL (the gate does not even then).

mod application;
mod gate;
mod screen;
mod steps;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::say::{self, FAILED};
use story::DemoError;

/// Exit code of a program that a signal asked to end, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// The database node in the cluster maps.
const DB: &str = "db";

/// The node that stands in for it.
const BACKUP: &str = "db_backup";

/// The node that calls them.
const GATE: &str = "gate";

/// The service of both databases.
const SERVICE: &str = "@sdb";

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load at the end
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Be the gate of a demo whose files are in this folder
    #[arg(long, value_name = "DIR", hide = true)]
    gate_process: Option<PathBuf>,
}

/// Shows the demo, or is its gate.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if let Some(folder) = arguments.gate_process {
        return gate::run(&folder);
    }
    match story::tell(arguments.seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ DemoError::Interrupted) => say::fail(INTERRUPTED, error),
        Err(error) => say::fail(FAILED, error),
    }
}
