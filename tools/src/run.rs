//! `skyring run`: one node, from its config to the signal that stops it.
//!
//! The first SIGINT or SIGTERM stops the node in order: exit code 0. A second one while it stops ends the
//! process at once, and so does the config's `stop_timeout_ms` and [`STOP_TIME_MAX`] behind it if something hangs,
//! be it the start or the stop.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use skyring::{NodeBuilder, StartError};

use crate::load;
use crate::say::{self, FAILED, WRONG};

const EXAMPLES: &str = "\
Examples:
  skyring run docs/examples/cluster/config_db
  skyring docs/examples/cluster/config_db      the same, as Skynet is started

A config is Lua that assigns values, with Skynet's keys (thread, logger, cluster, ...) and these:
  open = \"db\"                      listen where the cluster map says for this name
  services = { sdb = \"simpledb\" }  start a simpledb and publish it as @sdb
  call_timeout_ms = 30000          give up calls to other nodes after this; 0 = never
  down_after_ms = 2000             a node that shows no sign of life for so long is down; 0 = never
  stop_timeout_ms = 5000           a stop waits so long for the calls that peers have under way
  spin_us = 0                      look for work this long before sleeping; burns processor time

The log goes to the standard output unless `logger` names a file. SIGINT (Ctrl-C) or SIGTERM stops the \
node once the calls of its peers have finished, exit code 0; a second signal ends it at once. A config that is wrong is told in one \
line, exit code 2.";

/// Time after which a stop that has not come to its end is cut off, beside what it may wait for calls.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// What the config lets a stop wait for calls, in milliseconds; 0 before the node has started.
static STOP_TIMEOUT_MS: AtomicU32 = AtomicU32::new(0);

/// A signal this soon after the first is the same one again: `timeout` signals its child and then its
/// group, and a terminal's Ctrl-C may be passed on by a wrapper that gets it too.
const REPEAT_TIME_MAX: Duration = Duration::from_millis(100);

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The node's config
    config: PathBuf,
}

/// Runs a node until it is told to stop.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    // Before anything else: a signal that comes during the start counts too.
    let stop = match watch_signals() {
        Ok(stop) => stop,
        Err(error) => return say::fail(FAILED, format!("cannot watch for signals: {error}")),
    };
    let (config, map) = match load::node(&arguments.config) {
        Ok(loaded) => loaded,
        Err(fault) => return say::fail(WRONG, fault),
    };
    let file = config.file.display().to_string();
    let stop_timeout_ms = config.stop_timeout_ms;
    let kinds = load::kinds();
    let in_lua = skyring_lua::first_service(&config, &kinds) == skyring_lua::First::Lua;
    let bootstrap = in_lua.then(|| config.bootstrap.clone());
    let mut builder = NodeBuilder::from_config(config, map).kinds(kinds);
    if let Some(bootstrap) = bootstrap {
        builder = builder.first_service(&bootstrap);
    }
    let node = match builder.start() {
        Ok(node) => node,
        Err(error @ StartError::System(_)) => return say::fail(FAILED, error),
        Err(error @ StartError::Log { .. }) => {
            return say::fail(WRONG, format!("{file}: logger: {error}"));
        }
        // The engine names the file and the key.
        Err(error @ StartError::Service { .. }) => return say::fail(WRONG, error),
    };
    STOP_TIMEOUT_MS.store(stop_timeout_ms, Ordering::Relaxed);
    // An error would mean that the thread that watches is gone: then nothing could stop the node.
    let _ = stop.recv();
    node.stop();
    ExitCode::SUCCESS
}

/// What a signal means, by how long ago the first one came.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Stop,
    Repeated,
    EndNow,
}

fn meaning(since_first: Option<Duration>) -> Meaning {
    match since_first {
        None => Meaning::Stop,
        Some(elapsed) if elapsed < REPEAT_TIME_MAX => Meaning::Repeated,
        Some(_) => Meaning::EndNow,
    }
}

/// Watches for signals on a thread of its own. The receiver gets one message: stop.
fn watch_signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // A log that may not grow any further costs lines, as a full disk does, and not the node.
    flag::register(SIGXFSZ, Arc::default())?;
    let (stop, stopped) = sync_channel(1);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match meaning(first.map(|first| first.elapsed())) {
                Meaning::Stop => {
                    first = Some(Instant::now());
                    // Nobody receives only if `run` is on its way out already.
                    let _ = stop.try_send(());
                    // If there is no thread for it, a second signal still ends what hangs.
                    let _ = thread::Builder::new()
                        .name("stop-limit".to_owned())
                        .spawn(end_when_late);
                }
                Meaning::Repeated => {}
                // The code with which a shell reports a process that the signal killed.
                Meaning::EndNow => low_level::exit(128 + signal),
            }
        }
    })?;
    Ok(stopped)
}

/// Ends a process that should have ended by itself.
fn end_when_late() {
    let waits = Duration::from_millis(u64::from(STOP_TIMEOUT_MS.load(Ordering::Relaxed)));
    let time_max = STOP_TIME_MAX + waits;
    thread::sleep(time_max);
    let _ = say::fail(
        FAILED,
        format!("not stopped within {} s, ended", time_max.as_secs_f64()),
    );
    low_level::exit(i32::from(FAILED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_stops_and_a_later_one_ends_at_once() {
        assert_eq!(meaning(None), Meaning::Stop);
        assert_eq!(meaning(Some(REPEAT_TIME_MAX)), Meaning::EndNow);
        assert_eq!(meaning(Some(Duration::from_secs(2))), Meaning::EndNow);
    }

    #[test]
    fn a_signal_that_comes_twice_at_once_counts_as_one() {
        assert_eq!(meaning(Some(Duration::ZERO)), Meaning::Repeated);
        assert_eq!(
            meaning(Some(REPEAT_TIME_MAX - Duration::from_millis(1))),
            Meaning::Repeated
        );
    }
}
