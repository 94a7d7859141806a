//! `skyring demo`: three nodes in three processes, shown at work in half a minute at most.
//!
//! The program that is run is the parent: it starts `db` and `db_backup` with `skyring run` and generated
//! configs, starts the gate (this program once more, see [`gate`]), and tells the story: it asks the gate for
//! one thing after the other, kills and restarts `db`, checks what comes of it, and prints a line for each.
//!
//! Invariants: a line with `ok` is printed only when what it says was seen; every wait is bounded; no
//! process outlives the parent, however it ends.

mod application;
mod display;
mod gate;
mod nodes;
mod protocol;
mod scenario;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use skyring_bench::end_with_parent;

use self::scenario::DemoError;
use crate::shared::output::{EXIT_FAILURE, EXIT_INTERRUPTED, fail};

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load at the end
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Be the gate of a demo whose files are in this folder
    #[arg(long, value_name = "DIR", hide = true)]
    gate_process: Option<PathBuf>,
    /// Be `skyring run CONFIG`, and end when the process that started this one does
    #[arg(long, value_name = "CONFIG", hide = true)]
    node_process: Option<PathBuf>,
}

/// Shows the demo, or is its gate.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if let Some(folder) = arguments.gate_process {
        return gate::run(&folder);
    }
    if let Some(config) = arguments.node_process {
        return fail(EXIT_FAILURE, become_node(&config));
    }
    match scenario::run(arguments.seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ DemoError::Interrupted) => fail(EXIT_INTERRUPTED, error),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

/// Replaces this process by `skyring run CONFIG`; returns only why that is not possible.
fn become_node(config: &Path) -> io::Error {
    let program = end_with_parent().and_then(|()| std::env::current_exe());
    match program {
        Ok(program) => Command::new(program).arg("run").arg(config).exec(),
        Err(error) => error,
    }
}
