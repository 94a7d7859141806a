//! The effects of a changed map.

use std::rc::Rc;

use crate::cluster::dialling::channel::Failure;
use crate::cluster::room::{ClusterShard, Entry};
use crate::core::ShardCore;
use crate::error::Text;

/// Why calls to a node fail that discovery has taken out of the map.
pub(super) const HAS_LEFT: &str = "it has left the cluster";

impl ClusterShard {
    /// Whether the map has changed since this shard applied it. A read of the map alone applies nothing.
    #[inline]
    pub(in crate::cluster) fn is_map_stale(&self) -> bool {
        self.map.version() != self.map_applied.get()
    }

    /// Applies a map that changed before this shard was notified.
    #[inline]
    pub(in crate::cluster) fn refresh_map(&self, shard: &Rc<ShardCore>) {
        if self.is_map_stale() {
            self.map_changed(shard);
        }
    }

    /// Applies a changed map: calls to disabled nodes fail at once, nodes that moved are reached at their new address
    /// from the next call on, and pending requests are routed.
    pub(crate) fn map_changed(&self, shard: &Rc<ShardCore>) {
        self.map_applied.set(self.map.version());
        let nodes = self.peers.borrow().names();
        for node in nodes {
            self.entry_changed(shard, &node);
            let when_down = self.when_down(shard, &node);
            for channel in self.channels_of(&node) {
                channel.set_when_down(when_down);
            }
        }
        self.forget_moved(shard);
        self.groups_changed(shard);
        self.pending.end_attempts();
        self.end_sessions_of_disabled(shard);
        if shard.index == 0 {
            self.probe_monitored(shard);
        }
        self.map_changed_for_pending(shard);
    }

    fn entry_changed(&self, shard: &Rc<ShardCore>, node: &Text) {
        let entry = self.entry(node);
        let mut peers = self.peers_mut();
        let Some(peer) = peers.get_mut(node) else { return };
        match entry {
            Entry::At(address) if address == peer.address => {}
            Entry::At(address)
                if !peer.own().is_empty() && !peer.own().iter().any(|own| own.is_connected()) =>
            {
                // Nothing sent to the old address is still unanswered: use the new one.
                peer.address = address.clone();
                for channel in peer.own() {
                    channel.set_address(address.clone());
                }
            }
            Entry::At(_) => {
                let own = peer.own().to_vec();
                peers.remove(node);
                drop(peers);
                for channel in own {
                    channel.retire(shard);
                }
            }
            Entry::Disabled => {
                let own = peer.own().to_vec();
                peers.remove(node);
                drop(peers);
                for channel in own {
                    channel.end(shard, Failure::Disabled);
                }
            }
            // A reload keeps the entries that it does not name; discovery forgets nodes that have left.
            Entry::Absent { .. } => {
                let own = peer.own().to_vec();
                peers.remove(node);
                drop(peers);
                for channel in own {
                    channel.end(shard, Failure::Down(&HAS_LEFT.into()));
                }
            }
        }
    }
}
