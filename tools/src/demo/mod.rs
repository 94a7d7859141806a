//! `skyring demo`: a cluster of three nodes in three processes, in half a minute at most.
//!
//! The demo is the parent process: it starts `db` and `db_backup` with `skyring run` and generated configs, starts
//! the gate (this program again, see [`gate`]), and runs the [`scenario`]: it sends commands to the gate, kills and
//! restarts `db`, checks each outcome, and prints a line for each step.
//!
//! Invariants: a line with `ok` is printed only when its outcome was observed; each wait has a timeout; no process
//! outlives the parent, however it ends.

mod application;
mod display;
mod gate;
mod gate_calls;
mod nodes;
mod protocol;
mod scenario;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use skyring_bench::end_with_parent;

use self::scenario::DemoError;
use crate::shared::output::{EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE, fail};
use crate::shared::runtime::RuntimeArgument;

/// The arguments of `skyring demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load at the end
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    runtime: RuntimeArgument,
    /// Run the gate of a demo whose files are in this folder
    #[arg(long, value_name = "DIR", hide = true)]
    gate_process: Option<PathBuf>,
    /// Run `skyring run CONFIG`, and end with the parent process
    #[arg(long, value_name = "CONFIG", hide = true)]
    node_process: Option<PathBuf>,
}

/// Runs the demo, or one of its processes.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if let Some(folder) = arguments.gate_process {
        return gate::run(&folder);
    }
    if let Some(config) = arguments.node_process {
        return fail(EXIT_FAILURE, exec_node(&config));
    }
    let runtime = match arguments.runtime.selected() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    match scenario::run(arguments.seconds, runtime) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ DemoError::Interrupted) => fail(EXIT_INTERRUPTED, error),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

/// Replaces this process by `skyring run CONFIG`; returns only on an error.
fn exec_node(config: &Path) -> io::Error {
    let program = end_with_parent().and_then(|()| std::env::current_exe());
    match program {
        Ok(program) => Command::new(program).arg("run").arg(config).exec(),
        Err(error) => error,
    }
}
