//! `skyring bench ledger` and `skyring bench soak`: numbered calls through a network and to processes that
//! fail, with books that must agree.
//!
//! Invariant: it ends by itself, with exit code 1 if a promise was broken.

mod course;
mod faults;
mod screen;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use skyring::config::{ConfigError, NodeConfig, THREADS_MAX};
use skyring::{NodeBuilder, StartError};
use skyring_bench::{Interrupt, LEDGER_CALLERS_MAX, Program, end_with_parent, ledger_kind};
use thiserror::Error;

use crate::bench_chaos::FaultArguments;
use crate::say::{self, FAILED};
use course::CourseError;

const EXAMPLES: &str = "\
Examples:
  skyring bench ledger --rate 50000 --seconds 60 --cuts-per-second 10
  skyring bench ledger --kill-every 5 --pause-every 20 --reload-every 3 --html ledger.html
  skyring bench ledger --group --kill-every 5
  skyring bench ledger --dialect skynet --cuts-per-second 10

Exit code 1 if a call was lost, run twice, out of order or late, or if its error was not true.";

const SOAK_EXAMPLES: &str = "\
Examples:
  skyring bench soak --minutes 30 --html soak.html

The same as `skyring bench ledger` with every fault at once: 10 cuts a second, a SIGKILL and restart every
20 s, a SIGSTOP of 5 s every 60 s, and a reload of the map every 7 s.";

/// The dialects that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dialect {
    /// The native one
    Auto,
    /// Skynet's, as if the callee were a Skynet node
    Skynet,
}

/// What both commands take.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Calls a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    rate: Option<u32>,
    /// Callers; the first half posts, the other awaits each call
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=LEDGER_CALLERS_MAX as i64))]
    callers: u32,
    /// The deadline of a call, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
    /// The most bytes that a call carries beside its numbers
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    size: u32,
    /// Shards of the callee
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    threads: u32,
    /// Channels to the callee
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    channels: u32,
    /// Call a group of two callees with the policy failover; faults hit the first
    #[arg(long)]
    group: bool,
    /// Mark all calls idempotent, so that they may be repeated
    #[arg(long)]
    idempotent: bool,
    /// What the two ends speak
    #[arg(long, value_enum, default_value = "auto")]
    dialect: Dialect,
    /// Write the result to this file as JSON; - is the standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with memory, calls and latency over time
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the same figures as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// What can be said to `skyring bench ledger`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Seconds in which calls are made
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    #[command(flatten)]
    faults: FaultArguments,
    /// End the callee with SIGKILL and start it again, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    kill_every: Option<f64>,
    /// End the callee with SIGTERM, in order, and start it again, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    terminate_every: Option<f64>,
    /// Stop the callee with SIGSTOP, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    pause_every: Option<f64>,
    /// How long a SIGSTOP lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pause_seconds: f64,
    /// Move the callee to another address by a reload of the map, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    reload_every: Option<f64>,
}

/// What can be said to `skyring bench soak`.
#[derive(Debug, clap::Args)]
#[command(after_help = SOAK_EXAMPLES)]
pub(crate) struct SoakArguments {
    #[command(flatten)]
    common: Common,
    /// Minutes in which calls are made
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f64,
}

/// Everything that one run does.
struct Plan {
    common: Common,
    rate: u32,
    duration: Duration,
    network: skyring_bench::Faults,
    processes: faults::Schedule,
}

/// Calls a second unless something else is said.
const RATE_DEFAULT: u32 = 10_000;

/// The longest time between two faults of a sort, which also stands for never.
const NEVER: f64 = 1e9;

fn every(seconds: Option<f64>) -> Option<Duration> {
    // Shorter ones would be one fault that never ends.
    seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.1, NEVER)))
}

/// Runs the ledger.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    finish(course::run(&Plan {
        rate: arguments.common.rate.unwrap_or(RATE_DEFAULT),
        common: arguments.common.clone(),
        duration: Duration::from_secs(arguments.seconds),
        network: arguments.faults.faults(),
        processes: faults::Schedule {
            kill: every(arguments.kill_every),
            terminate: every(arguments.terminate_every),
            pause: every(arguments.pause_every),
            pause_time: Duration::from_secs_f64(arguments.pause_seconds.clamp(0.0, NEVER)),
            reload: every(arguments.reload_every),
        },
    }))
}

/// Runs the ledger with every fault.
pub(crate) fn soak(arguments: &SoakArguments) -> ExitCode {
    finish(course::run(&Plan {
        rate: arguments.common.rate.unwrap_or(RATE_DEFAULT),
        common: arguments.common.clone(),
        duration: Duration::from_secs_f64((arguments.minutes * 60.0).clamp(1.0, NEVER)),
        network: skyring_bench::Faults {
            cuts_per_second: 10.0,
            ..skyring_bench::Faults::default()
        },
        processes: faults::Schedule {
            kill: every(Some(20.0)),
            terminate: None,
            pause: every(Some(60.0)),
            pause_time: Duration::from_secs(5),
            reload: every(Some(7.0)),
        },
    }))
}

fn finish(outcome: Result<u64, CourseError>) -> ExitCode {
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => say::fail(FAILED, format!("{violations} violations")),
        Err(error) => say::fail(FAILED, error),
    }
}

/// Why there is no callee.
#[derive(Debug, Error)]
enum NodeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// What can be said to the callee's process.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArguments {
    config: PathBuf,
}

/// What runs a callee.
fn callee_program() -> std::io::Result<Program> {
    Ok(Program {
        file: std::env::current_exe()?,
        arguments: &["bench", "ledger-node"],
    })
}

/// Is a callee: a node whose config may name the kind `ledger`, until it is told to stop.
pub(crate) fn run_node(arguments: &NodeArguments) -> ExitCode {
    match serve(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say::fail(FAILED, error),
    }
}

fn serve(config: &Path) -> Result<(), NodeError> {
    end_with_parent()?;
    let interrupt = Interrupt::catch()?;
    let (config, map) = NodeConfig::load_with_map(config)?;
    let node = NodeBuilder::from_config(config, map)
        .kinds(ledger_kind(skyring_services::kinds()))
        .start()?;
    while !interrupt.requested() {
        thread::sleep(Duration::from_millis(20));
    }
    node.stop();
    Ok(())
}
