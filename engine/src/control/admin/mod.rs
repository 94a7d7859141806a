//! The admin server: health, metrics, status and profiles of the node over HTTP.
//!
//! Shards are asked only when somebody asks this server, by a job in their inbox, and at most ten times a second however many
//! clients there are. A shard that does not answer is reported as such after a second.
//!
//! Invariants: the token is compared in constant time and never printed; connections, header bytes and time are bounded; no
//! request changes the node.

mod access;
mod collect;
mod dashboard;
mod metrics;
mod probe;
mod process;
mod routes;
mod server;
mod status;
mod trace;

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Admin;
use crate::control::thread::Task;
use crate::core::ShardCore;
use crate::core::node::NodeShared;
use crate::status::ShardReport;

/// Takes a flame graph of this process for a while, as an SVG; the error is a text. It runs on a thread that may block.
pub(crate) type Profiler = Arc<dyn Fn(Duration) -> Result<String, String> + Send + Sync>;

/// What the server needs of its node.
pub(crate) struct AdminParts {
    pub(crate) node: Arc<NodeShared>,
    pub(crate) admin: Admin,
    /// Makes the report of a shard, on its thread.
    pub(crate) report: fn(&Rc<ShardCore>) -> ShardReport,
    pub(crate) profiler: Option<Profiler>,
    /// What runs the shards.
    pub(crate) runtime: &'static str,
}

/// The server as a task of the control thread.
pub(crate) fn task(parts: AdminParts, listener: TcpListener) -> Task {
    Task::new("the admin server", move |outlet, stop| {
        server::serve(outlet, stop, parts, listener)
    })
}
