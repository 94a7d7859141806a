//! A shard: one thread's services, cluster and sockets, the router between them, and the loop that serves them.
//!
//! A [`Shard`] is the router of its [`ShardCore`]. It works in turns: a turn takes the messages of other shards,
//! handles them, pushes the staged messages to other shards, and writes every connection that has output. Code that
//! leaves work for the end of a turn requests one (`ShardCore::request_turn`). Several requests make one turn, after
//! the tasks that are runnable by then: so replies and calls leave in batches.
//!
//! Invariants: a turn is bounded in time; order from one shard to another is kept.

pub(crate) mod mesh;
mod router;
mod run_queue;
pub(crate) mod tasks;
#[cfg(test)]
mod tests;
mod turn;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::{ClusterShard, ClusterShared};
use crate::core::ShardCore;
use crate::core::node::NodeShared;
use crate::service::{Kinds, ServiceShard};
use crate::shard::mesh::{Mesh, Staged};
use crate::shard::run_queue::Queued;
use crate::socket::{SocketRegistry, SocketShard};

/// The parts that the shards of a node are composed of.
pub(crate) struct Parts {
    pub(crate) node: Arc<NodeShared>,
    pub(crate) mesh: Arc<Mesh>,
    pub(crate) cluster: Arc<ClusterShared>,
    pub(crate) sockets: Arc<SocketRegistry>,
    pub(crate) kinds: Kinds,
}

/// The rooms of one shard, and the messages between them and to other shards.
pub(crate) struct Shard {
    services: ServiceShard,
    cluster: ClusterShard,
    sockets: SocketShard,
    mesh: Arc<Mesh>,
    /// Messages for services of this shard that arrived while another was being handled.
    run_queue: RefCell<VecDeque<Queued>>,
    /// Messages for other shards, pushed at the end of a turn.
    staged: Box<[RefCell<Staged>]>,
    /// Messages and replies that were staged since the last push.
    crossed: Cell<u64>,
}

impl Shard {
    /// A shard of a node, ready to [run](ShardCore::run).
    pub(crate) fn new(index: usize, parts: &Parts) -> Rc<ShardCore<Shard>> {
        let node = &parts.node;
        let shards = node.shards();
        let shard = Shard {
            services: ServiceShard::new(parts.kinds.clone()),
            cluster: ClusterShard::new(node, &parts.cluster),
            sockets: SocketShard::new(index, shards, &parts.sockets),
            mesh: Arc::clone(&parts.mesh),
            run_queue: RefCell::default(),
            staged: (0..shards).map(|_| RefCell::default()).collect(),
            crossed: Cell::new(0),
        };
        ShardCore::new(index, Arc::clone(node), shard)
    }
}
