//! `skyring demo`: three nodes in three processes, shown at work in half a minute at most.
//!
//! The program that is run is the parent: it starts `db` and `db_backup` with `skyring run` and generated
//! configs, starts the gate (this program once more, see [`gate`]), and tells the story: it asks the gate for
//! one thing after the other, kills and restarts `db`, checks what comes of it, and prints a line for each.
//!
//! Invariants: a line with `ok` is printed only when what it says was seen; every wait is bounded; no
//! process outlives the parent, however it ends.

mod application;
mod gate;
mod screen;
mod steps;
mod story;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use skyring_bench::{Program, end_with_parent};

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
    /// Be `skyring run CONFIG`, and end when the process that started this one does
    #[arg(long, value_name = "CONFIG", hide = true)]
    node_process: Option<PathBuf>,
}

/// What runs a node as a process that ends with this one.
///
/// # Errors
/// When this program's own file is not known.
pub(crate) fn node_program() -> io::Result<Program> {
    Ok(Program {
        file: std::env::current_exe()?,
        arguments: &["demo", "--node-process"],
    })
}

/// Shows the demo, or is its gate.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if let Some(folder) = arguments.gate_process {
        return gate::run(&folder);
    }
    if let Some(config) = arguments.node_process {
        return say::fail(FAILED, become_node(&config));
    }
    match story::tell(arguments.seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ DemoError::Interrupted) => say::fail(INTERRUPTED, error),
        Err(error) => say::fail(FAILED, error),
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
