//! The `skyring` command: runs nodes, calls them, checks their files, demonstrates and measures.
//!
//! Each subcommand is a module with its `Arguments` and a `run` that gives the exit code. The codes are the
//! same everywhere: 0 done, 1 it did not work, 2 the arguments or a file are wrong.

mod bench;
mod bench_chaos;
mod bench_ledger;
mod bench_peers;
mod call;
mod check;
mod demo;
mod load;
mod profile;
mod run;
mod say;
mod word;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs, calls and measures Skyring nodes: services that pass messages, in one process and across a cluster,
/// in the wire format of Skynet.
#[derive(Debug, Parser)]
#[command(name = "skyring", version, styles = say::STYLES, after_help = say::EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a node until SIGINT or SIGTERM. `skyring CONFIG` does the same
    Run(run::Arguments),
    /// Call a service of a running node and print what it answers
    Call(call::Arguments),
    /// Say what a node config or a cluster map contains, or what is wrong with it
    Check(check::Arguments),
    /// Show a cluster of three nodes at work: calls, failure, recovery, load
    Demo(demo::Arguments),
    /// Measure calls per second and latency
    Bench(Box<bench::Arguments>),
    /// Show where a running process spends its processor time, as a flame graph
    Profile(profile::Arguments),
}

/// What an argument is taken for before it is taken for a config.
const SUBCOMMANDS: [&str; 7] = ["run", "call", "check", "demo", "bench", "profile", "help"];

fn main() -> ExitCode {
    // Not for people: this program once more, as a server that is measured.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == bench_peers::FLOOR_SERVER)
    {
        return bench_peers::serve(&std::env::args_os().skip(2).collect::<Vec<_>>());
    }
    let arguments = with_run_implied(std::env::args_os().collect());
    let command = match Command::try_parse_from(arguments) {
        Ok(command) => command,
        Err(error) => return refuse(&error),
    };
    match command.action {
        Action::Run(arguments) => run::run(arguments),
        Action::Call(arguments) => call::run(arguments),
        Action::Check(arguments) => check::run(arguments),
        Action::Demo(arguments) => demo::run(arguments),
        Action::Bench(arguments) => bench::run(*arguments),
        Action::Profile(arguments) => profile::run(&arguments),
    }
}

/// `skyring CONFIG` is `skyring run CONFIG`, as `skynet CONFIG` starts a node. Only a path is taken for a
/// config (something with a `/`, or a file that is there): a mistyped subcommand is better told as such.
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

/// Says what is wrong with the arguments, or prints the help that was asked for, and gives the exit code.
fn refuse(error: &clap::Error) -> ExitCode {
    // `skyring CONFIG` without that file looks like an unknown subcommand; that of a subcommand does not.
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && std::env::args_os()
            .nth(1)
            .is_none_or(|first| first == word.as_str())
    {
        let commands = SUBCOMMANDS.join(", ");
        let cause = format!("{word}: no such file, and no such command: there are {commands}");
        return say::fail(say::WRONG, cause);
    }
    // Whoever asked may not listen any more; the exit code still says what happened.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
