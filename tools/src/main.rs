//! The `skyring` command: runs nodes, calls them, checks their files, demonstrates and measures.
//!
//! Each command is a folder with its `Arguments` and a `run` that returns the exit code; no command knows another.
//! The exit codes are the same for all: 0 success, 1 failure, 2 the arguments or a file are invalid.

mod allocator;
mod bench;
mod call;
mod cert;
mod check;
mod cluster;
mod demo;
mod doctor;
mod profile;
mod run;
mod shared;
mod top;
mod trace;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;

use shared::output::{EXIT_USAGE, STYLES, fail};
use shared::programs::FLOOR_SERVER;

const EXAMPLES: &str = "\
Examples:
  skyring demo                                              a cluster at work, in ten seconds
  skyring run docs/examples/cluster/config_db               a node; Ctrl-C stops it
  skyring call --addr 127.0.0.1:7102 @sdb SET name skyring  a call to the node
  skyring check docs/examples/cluster/config_db             the content of a config

Exit codes: 0 success, 1 failure, 2 the arguments or a file are invalid.";

/// The version, and that of Lua, because modules in C must be built for the same.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (Lua {})", env!("CARGO_PKG_VERSION"), skyring_lua::LUA_VERSION));

#[global_allocator]
static ALLOCATOR: allocator::CountingAllocator = allocator::CountingAllocator;

/// Runs, calls and measures Skyring nodes: services that pass messages, in one process and across a cluster,
/// in the wire format of Skynet.
#[derive(Debug, Parser)]
#[command(name = "skyring", version = VERSION.as_str(), styles = STYLES, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a node until SIGINT or SIGTERM. `skyring CONFIG` does the same
    Run(run::Arguments),
    /// Call a service of a running node and print the reply
    Call(call::Arguments),
    /// Make a CA and certificates of nodes, for the TLS of a test cluster
    Cert(cert::Arguments),
    /// Describe a node config or a cluster map, or report why it is invalid
    Check(check::Arguments),
    /// Say what on this machine, and around a node, would stop a node or slow it down
    Doctor(doctor::Arguments),
    /// Show the nodes of a cluster with their states, or edit the source that names them
    Cluster(cluster::Arguments),
    /// Show a running node in the terminal: nodes, channels, services, rates, percentiles
    Top(top::Arguments),
    /// Show a cluster of three nodes at work: calls, failure, recovery, load
    Demo(demo::Arguments),
    /// Measure calls per second and latency
    Bench(Box<bench::Arguments>),
    /// Show the stages of one call on every node that it reaches
    Trace(trace::Arguments),
    /// Write the processor time of a running process as a flame graph
    Profile(profile::Arguments),
}

/// Names that are commands even if there is a config of that name.
const SUBCOMMANDS: [&str; 12] = [
    "run", "call", "cert", "check", "cluster", "doctor", "top", "demo", "bench", "profile", "trace", "help",
];

fn main() -> ExitCode {
    skyring_lua::set_memory_release(allocator::release);
    skyring_bench::set_allocation_counter(allocator::allocations);
    // Not a command for users: `bench` starts this program as the server of a floor.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == FLOOR_SERVER)
    {
        return bench::serve_floor(&std::env::args_os().skip(2).collect::<Vec<_>>());
    }
    CompleteEnv::with_factory(<Command as CommandFactory>::command).complete();
    let arguments = with_run_implied(std::env::args_os().collect());
    let arguments = call::with_help_of_command(arguments, |arguments| {
        match Command::try_parse_from(arguments).ok()?.action {
            Action::Call(arguments) => Some(arguments),
            _ => None,
        }
    });
    let command = match Command::try_parse_from(arguments) {
        Ok(command) => command,
        Err(error) => return report(&error),
    };
    match command.action {
        Action::Run(arguments) => run::run(arguments),
        Action::Call(arguments) => call::run(arguments),
        Action::Cert(arguments) => cert::run(arguments),
        Action::Check(arguments) => check::run(arguments),
        Action::Cluster(arguments) => cluster::run(arguments),
        Action::Doctor(arguments) => doctor::run(&arguments),
        Action::Top(arguments) => top::run(arguments),
        Action::Demo(arguments) => demo::run(arguments),
        Action::Bench(arguments) => bench::run(*arguments),
        Action::Profile(arguments) => profile::run(&arguments),
        Action::Trace(arguments) => trace::run(arguments),
    }
}

/// Inserts `run` before a config: `skyring CONFIG` is `skyring run CONFIG`, as `skynet CONFIG` starts a node. Only
/// a path (an argument with a `/`, or an existing file) is a config, so that a mistyped command is reported as such.
fn with_run_implied(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let implied = arguments.get(1).is_some_and(|first| {
        let path = std::path::Path::new(first);
        !SUBCOMMANDS.iter().any(|known| first == known)
            && !first.as_encoded_bytes().starts_with(b"-")
            && (first.as_encoded_bytes().contains(&b'/') || path.exists())
    });
    if implied {
        arguments.insert(1, OsString::from("run"));
    }
    arguments
}

/// Reports invalid arguments, or prints the requested help, and returns the exit code.
fn report(error: &clap::Error) -> ExitCode {
    // `skyring CONFIG` without that file looks like an unknown subcommand; that of a subcommand does not.
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidSubcommand)
        && std::env::args_os()
            .nth(1)
            .is_none_or(|first| first == argument.as_str())
    {
        let commands = SUBCOMMANDS.join(", ");
        let cause = format!("{argument}: no such file, and no such command: the commands are {commands}");
        return fail(EXIT_USAGE, cause);
    }
    // With the output closed only the exit code can report the outcome.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
