//! What is measured, and why it may not be.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::node_process::Program;
use crate::supervisor::WaitError;

/// Most nodes: each has a process, two connections to each other node, and a thread of this process that reads it.
pub const NODES_MAX: u32 = 400;

/// What is measured.
#[derive(Debug, Clone)]
pub struct NodesPlan {
    /// The program that runs a node with [`serve_member`](super::serve_member): its last two arguments are the config and
    /// the number of nodes.
    pub program: Program,
    /// How many nodes, 3 to [`NODES_MAX`].
    pub nodes: u32,
    /// Shards of each.
    pub threads: u32,
    /// How long they are left alone while their processor time is measured.
    pub idle_time: Duration,
    /// How long the network stays parted after all have noticed.
    pub parted_time: Duration,
    /// Calls that each node makes a second while a node is killed and while the network is parted, to one other after the
    /// other.
    pub calls_per_second: u32,
    /// Whether to find the nodes by etcd, if it is installed.
    pub with_etcd: bool,
    /// The lease of etcd, in seconds.
    pub lease_s: u32,
    /// After how long without a sign of life a node is down.
    pub down_after: Duration,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum NodesError {
    /// The system refuses something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// A command that prepares the network has failed.
    #[error("{command}: {output}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
    /// A process ended by itself.
    #[error("{name} has ended: {last_line}")]
    Ended {
        /// The node, or etcd.
        name: String,
        /// The last that it said.
        last_line: String,
    },
    /// Something took too long.
    #[error("{what}: {error}; {so_far}")]
    Waited {
        /// What was waited for.
        what: &'static str,
        /// Why the wait ended.
        error: WaitError,
        /// How far it was.
        so_far: String,
    },
}

impl NodesError {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> NodesError {
        let what = what.into();
        |error| NodesError::System { what, error }
    }
}
