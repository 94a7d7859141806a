//! One of the nodes, as a process: it watches all others, and writes what it sees, a line for each event.
//!
//! It reads commands from its standard input and ends with it: `calls N` makes N calls a second from then on, 0 none;
//! `counters` asks for a line with its counters. Its lines are
//! - `ready`: it listens and is published;
//! - `state NODE CHANGE MILLISECONDS`: the change of another node, and when it noticed, since 1970;
//! - `failed NODE CODE`: a call has failed;
//! - `counters ACCEPTED FAILED CALLS`.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use skyring::config::{ConfigError, NodeConfig};
use skyring::{Caller, Error, Monitor, Node, NodeBuilder, StartError};
use thiserror::Error as ThisError;

use super::mesh::node_name;
use crate::process::end_with_parent;

/// The deadline of a call. A call to a node that is lost ends earlier, when it is down.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a node cannot run.
#[derive(Debug, ThisError)]
pub enum MemberError {
    /// Its config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node takes no more work.
    #[error(transparent)]
    Node(#[from] Error),
    /// The system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// What the thread that reads commands shares with the shards.
struct Shared {
    /// Counts the commands `calls`: callers of an earlier one end.
    round: AtomicU32,
    calls: AtomicU64,
}

/// Runs a node until its standard input ends.
///
/// # Errors
/// [`MemberError`].
pub fn serve_member(config: &Path, nodes: u32) -> Result<(), MemberError> {
    end_with_parent()?;
    let (config, map) = NodeConfig::load_with_map(config)?;
    let own = config.open.clone().unwrap_or_default();
    let others: Vec<String> = (1..=nodes).map(node_name).filter(|name| *name != own).collect();
    let node = NodeBuilder::from_config(config, map)
        .kinds(skyring_services::kinds())
        .start()?;
    let watched = others.clone();
    node.run(move |caller| async move {
        for name in watched {
            match caller.cluster().monitor(name) {
                Ok(monitor) => caller.spawn(watch(monitor)),
                Err(error) => say(&format!("error: {error}")),
            }
        }
        // The tasks live as long as this service.
        std::future::pending::<()>().await;
    })?;
    say("ready");
    let shared = Arc::new(Shared {
        round: AtomicU32::new(0),
        calls: AtomicU64::new(0),
    });
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("calls", number)) => {
                let round = shared.round.fetch_add(1, Ordering::Relaxed) + 1;
                let per_second = number.parse::<u32>().unwrap_or(0);
                if per_second > 0 {
                    start_calls(&node, &shared, round, per_second, others.clone())?;
                }
            }
            _ => say_counters(&node, &shared),
        }
    }
    node.stop();
    Ok(())
}

async fn watch(mut monitor: Monitor) {
    loop {
        let event = monitor.next().await;
        say(&format!(
            "state {} {} {}",
            event.node,
            event.change.name(),
            event.time_ms()
        ));
    }
}

/// Calls one other node after the other, at an even rate, until the next round.
fn start_calls(
    node: &Node,
    shared: &Arc<Shared>,
    round: u32,
    per_second: u32,
    others: Vec<String>,
) -> Result<(), Error> {
    let shared = Arc::clone(shared);
    let pause = Duration::from_secs(1) / per_second;
    node.run(move |caller| async move {
        let others: Rc<[String]> = others.into();
        // Nodes that begin at the same time call different ones.
        let mut place = std::process::id() as usize;
        while shared.round.load(Ordering::Relaxed) == round {
            caller.sleep(pause).await;
            shared.calls.fetch_add(1, Ordering::Relaxed);
            place += 1;
            caller.spawn(call(caller.clone(), Rc::clone(&others), place % others.len()));
        }
        // Calls in flight end before the service does.
        caller.sleep(CALL_TIMEOUT + Duration::from_secs(1)).await;
    })?;
    Ok(())
}

async fn call(caller: Caller, others: Rc<[String]>, place: usize) {
    let name = others[place].as_str();
    let answer = caller
        .node(name)
        .call("@echo", &"are you there")
        .timeout(CALL_TIMEOUT);
    if let Err(error) = answer.await {
        say(&format!("failed {name} {}", error.code()));
    }
}

fn say_counters(node: &Node, shared: &Shared) {
    let metrics = node.metrics();
    say(&format!(
        "counters {} {} {}",
        metrics.connections_accepted.get(),
        metrics.connects_failed.get(),
        shared.calls.load(Ordering::Relaxed)
    ));
}

/// Writes a line. Without a reader this process has no purpose, and ends with its standard input.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
