//! Whether the node lives, and whether it is ready: what those ask who start and restart nodes.

use std::sync::atomic::Ordering;

use super::collect::Shards;
use crate::core::node::NodeShared;

/// Why the node is not healthy: it has failed, or shards take no work. The error is a line.
pub(super) async fn health(node: &NodeShared, shards: &Shards) -> Result<(), String> {
    if let Some(cause) = node.failure() {
        return Err(format!("the node has failed: {cause}"));
    }
    let answers = shards.ask(|_| ()).await;
    let stuck: Vec<String> = answers
        .iter()
        .enumerate()
        .filter(|(_, (_, answer))| answer.is_none())
        .map(|(shard, _)| shard.to_string())
        .collect();
    match stuck.is_empty() {
        true => Ok(()),
        false => Err(format!("shards that take no work: {}", stuck.join(", "))),
    }
}

/// Why the node is not ready. The error is a line.
pub(super) fn readiness(node: &NodeShared) -> Result<(), &'static str> {
    if node.is_ready.load(Ordering::Acquire) {
        Ok(())
    } else if node.is_leaving.load(Ordering::Acquire) {
        Err("stopping")
    } else {
        Err("starting")
    }
}
