//! `skyring run`: one node, from its config to the signal that stops it.
//!
//! SIGHUP opens the log file and reads the certificates again. The first SIGINT or SIGTERM stops the node gracefully: exit code 0. A second one ends the process at once, and so
//! does the expiry of the stop timeout, during the start and during the stop.

mod daemon;
mod profiler;
mod service_manager;
mod signals;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use skyring::{NodeBuilder, StartError};

use self::service_manager::ServiceManager;
use self::signals::Request;
use crate::shared::node_config::{kinds, load_node};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail};
use crate::shared::runtime::RuntimeArgument;

const EXAMPLES: &str = "\
Examples:
  skyring run docs/examples/cluster/config_db
  skyring docs/examples/cluster/config_db      the same, as Skynet is started

A config is Lua that assigns values, with Skynet's keys (thread, logger, cluster, ...) and these:
  open = \"db\"                      listen where the cluster map says for this name
  services = { sdb = \"simpledb\" }  start a simpledb and publish it as @sdb
  services = { sdb = { \"simpledb\", restart = \"always\" } }   start it again after its end
  call_timeout_ms = 30000          timeout of calls to other nodes; 0 = none
  down_after_ms = 2000             a node without a sign of life for so long is down; 0 = never
  when_down = \"wait\"               calls to a node that is down wait for it; \"fail\" = they fail at once
  stop_timeout_ms = 5000           how long a stop waits for the calls of peers in flight, and then for services
  slow_call_ms = 100               log calls that take longer, with their stages; 0 = none
  otlp = \"http://127.0.0.1:4318\"   spans of traced calls to a collector, in a build with the feature otlp
  runtime = \"uring\"                what runs the shards: uring or glommio
  admin = \"127.0.0.1:8100\"         health, metrics and status over HTTP
  daemon = \"./skyring.pid\"         run in the background; the file has the process id
  spin_us = 0                      shards poll this long before they sleep; uses processor time


The log goes to the standard output unless `logger` names a file, which SIGHUP opens again, as it reads certificates \
again. SIGINT (Ctrl-C) or SIGTERM stops the \
node once the calls of its peers have finished, exit code 0; a second signal ends it at once. An invalid config is reported in one \
line, exit code 2.";

/// The arguments of `skyring run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The config of the node
    config: PathBuf,
    /// What Skynet's start scripts pass behind the config; without effect, as in Skynet
    #[arg(value_name = "ARGUMENT")]
    further: Vec<OsString>,
    /// The node itself, which the command has started in the background
    #[arg(long = "daemon-child", hide = true)]
    is_daemon_child: bool,
    #[command(flatten)]
    runtime: RuntimeArgument,
}

/// Runs a node until a signal stops it.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    // Before anything else, so that a signal during the start is not lost.
    let signals = match signals::watch() {
        Ok(signals) => signals,
        Err(error) => return fail(EXIT_FAILURE, format!("cannot watch for signals: {error}")),
    };
    // Once: the node in the background is started without them.
    if let Some(first) = arguments.further.first() {
        let warning = format!(
            "warning: {} and what follows it have no effect: only the config is read, as in Skynet\n",
            first.display()
        );
        let _ = io::stderr().write_all(warning.as_bytes());
    }
    let (config, map) = match load_node(&arguments.config) {
        Ok(loaded) => loaded,
        Err(error) => return fail(EXIT_USAGE, error),
    };
    let mut pid_file = None;
    if let Some(path) = &config.daemon {
        if !arguments.is_daemon_child {
            let is_logged = config.logger.is_some() || config.log_service.is_some();
            return daemon::start(path, is_logged, &arguments);
        }
        match daemon::enter(path) {
            Ok(file) => pid_file = Some(file),
            Err(error) => return fail(EXIT_FAILURE, error),
        }
    }
    let file = config.file.display().to_string();
    let stop_timeout_ms = config.stop_timeout_ms;
    let kinds = kinds();
    let in_lua = skyring_lua::first_service(&config, &kinds) == skyring_lua::First::Lua;
    let bootstrap = in_lua.then(|| config.bootstrap.clone());
    let mut builder = NodeBuilder::from_config(config, map).kinds(kinds);
    if let Some(runtime) = arguments.runtime.given() {
        builder = builder.runtime(runtime);
    }
    if let Some(bootstrap) = bootstrap {
        builder = builder.first_service(&bootstrap);
    }
    let builder = builder
        .on_failure(|_| signals::stop())
        .profiler(profiler::profile);
    let node = match builder.start() {
        Ok(node) => node,
        Err(error @ StartError::System(_)) => return fail(EXIT_FAILURE, error),
        Err(error @ StartError::Log { .. }) => {
            return fail(EXIT_USAGE, format!("{file}: logger: {error}"));
        }
        // The engine names the variable, or the file and the key.
        Err(error @ (StartError::Environment(_) | StartError::Service { .. })) => {
            return fail(EXIT_USAGE, error);
        }
    };
    signals::set_stop_timeout_ms(stop_timeout_ms);
    if pid_file.is_some() {
        daemon::report_started();
    }
    let mut manager = ServiceManager::started(&node);
    loop {
        match signals.wait(manager.time_left()) {
            Some(Request::Stop) => break,
            Some(Request::Reload) => {
                node.reopen_log();
                node.reload_certificates();
            }
            None => manager.report_alive(&node),
        }
    }
    manager.stopping(&node);
    let failure = node.failure();
    node.stop();
    // Removed last: until then no other node can start with it.
    drop(pid_file);
    match failure {
        Some(cause) => fail(EXIT_FAILURE, format!("{file}: {cause}")),
        None => ExitCode::SUCCESS,
    }
}
