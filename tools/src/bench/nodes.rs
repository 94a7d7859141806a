//! `skyring bench nodes`: many nodes as processes on this machine, each connected to all others.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use skyring_bench::{Interrupt, NODES_MAX, NodesPlan, measure_nodes, serve_member};

use super::arguments::seconds;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};
use crate::shared::output_file::{OutputFile, is_stdout};
use crate::shared::programs::mesh_node_program;
use crate::shared::status_line::StatusLine;

const EXAMPLES: &str = "\
Examples:
  skyring bench nodes                     a hundred nodes, about two minutes
  skyring bench nodes --nodes 30 --json nodes.json
  sudo skyring bench nodes                also parts the network into two halves

All nodes start at once and find each other by etcd, which the command starts if it is installed; else by a watched map file. \
Then they are left alone, one is killed and started again, and the network is parted and made whole; that needs root, \
because each half is a network namespace of the kernel.

Exit codes: 0 success, 1 failure, or a call between living nodes failed, or a node tried to connect more often than it may; 2 \
the arguments or the file are invalid.";

/// The arguments of `skyring bench nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..=i64::from(NODES_MAX)))]
    nodes: u32,
    /// Shards of each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Seconds in which they are left alone
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    idle_seconds: Duration,
    /// Seconds in which the network stays parted after all have noticed
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    parted_seconds: Duration,
    /// Calls of each node a second, while a node is killed and while the network is parted
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    calls_per_second: u32,
    /// Have the nodes find each other by a watched map file, even if etcd is installed
    #[arg(long)]
    no_etcd: bool,
    /// The lease of the nodes in etcd
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    lease_s: u32,
    /// Milliseconds without a sign of life after which a node is down
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    down_after_ms: u64,
    /// Write the figures to this file as JSON; - is the standard output, without the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The arguments of one of the nodes.
#[derive(Debug, clap::Args)]
pub(crate) struct MemberArguments {
    config: PathBuf,
    nodes: u32,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut file = match OutputFile::create(arguments.json.as_deref()) {
        Ok(file) => file,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    let prepared = mesh_node_program().and_then(|program| Ok((program, Interrupt::catch()?)));
    let (program, interrupt) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let plan = NodesPlan {
        program,
        nodes: arguments.nodes,
        threads: arguments.threads,
        idle_time: arguments.idle_seconds,
        parted_time: arguments.parted_seconds,
        calls_per_second: arguments.calls_per_second,
        with_etcd: !arguments.no_etcd,
        lease_s: arguments.lease_s,
        down_after: Duration::from_millis(arguments.down_after_ms),
    };
    let status = StatusLine::new();
    let result = measure_nodes(&plan, &interrupt, &|phase| status.show(phase));
    drop(status);
    let result = match result {
        Ok(result) => result,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    let json = format!("{}\n", result.to_json());
    if let Some(file) = &mut file
        && let Err(cause) = file.write(json.as_bytes())
    {
        return fail(EXIT_FAILURE, cause);
    }
    let text = match arguments.json.as_deref().is_some_and(is_stdout) {
        true => json,
        false => result.lines().join("\n") + "\n",
    };
    if let Err(error) = ignore_broken_pipe(anstream::stdout().write_all(text.as_bytes())) {
        return fail(EXIT_FAILURE, error);
    }
    match result.broken_promises().join("; ") {
        broken if broken.is_empty() => ExitCode::SUCCESS,
        broken => fail(EXIT_FAILURE, broken),
    }
}

/// Runs one of the nodes.
pub(super) fn run_member(arguments: &MemberArguments) -> ExitCode {
    match serve_member(&arguments.config, arguments.nodes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}
