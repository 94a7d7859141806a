//! Closing the cluster room of a shard.

use std::rc::Rc;

use crate::cluster::dialling::channel::{Channel, Failure};
use crate::cluster::room::ClusterShard;
use crate::core::ShardCore;
use crate::core::slab::Key;

impl ClusterShard {
    /// Ends every connection: the shard stops.
    pub(crate) fn close(&self, shard: &Rc<ShardCore>) {
        let channels: Vec<Rc<Channel>> = self.channels.borrow().iter().cloned().collect();
        for channel in channels {
            channel.end(shard, Failure::ShuttingDown);
        }
        for connection in self.all_inbound() {
            connection.shutdown();
        }
        self.end_all_detached(shard);
        self.refuse_all_pending(shard);
    }

    /// Whether every connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.channels.borrow().len() == 0 && self.inbound.borrow().len() == 0
    }

    /// Removes a channel that has ended.
    pub(in crate::cluster) fn remove_channel(&self, key: Key) {
        let removed = self.channels.borrow_mut().remove(key);
        if let Some(channel) = removed
            && let Some(peer) = self.peers_mut().get_mut(&channel.node)
        {
            peer.remove(&channel);
        }
    }

    /// Handles a deadline of a channel.
    pub(crate) fn channel_deadline(&self, shard: &Rc<ShardCore>, key: Key) {
        if let Some(channel) = self.channel(key) {
            channel.deadline(shard);
        }
    }
}
