//! The first handshake with a node, which says how many channels it has: until then its requests wait.
//!
//! Only the first shard connects for it. It tells all shards what it has learned.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::room::{ClusterShard, Entry};
use crate::core::ShardCore;
use crate::core::request::RemoteRequest;
use crate::error::Text;

/// How much longer than a request waits the first shard tries to reach its node, so that not every request asks anew.
const ATTEMPT_MARGIN_MS: Millis = 500;

impl ClusterShard {
    /// Holds the first requests to a node until its first channel knows how many it has.
    pub(in crate::cluster) fn await_handshake(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        let address = match self.entry(&request.node) {
            Entry::At(address) => address,
            entry => return self.refuse_or_hold(shard, entry, request),
        };
        if self.has_one_channel(shard, &request.node) {
            // There is nothing to find out.
            self.peers_mut()
                .get_or_insert(&request.node, address)
                .set_channels(1);
            return self.route_now(shard, request);
        }
        let node = Text::clone(&request.node);
        if request.reply_to.session() != 0
            && let Some(cause) = self.down_cause(&node)
        {
            return self.refuse_down(shard, &node, &cause, request.reply_to);
        }
        let until = request.deadline.unwrap_or(Millis::MAX);
        self.hold(shard, request);
        self.request_handshake(shard, node, until);
    }

    /// Has the first shard try to reach a node until then.
    pub(in crate::cluster) fn request_handshake(&self, shard: &Rc<ShardCore>, node: Text, until: Millis) {
        let Some(until) = self.pending.extend_attempt(&node, until, ATTEMPT_MARGIN_MS) else {
            return;
        };
        let asker = shard.index;
        shard.run_on(0, move |shard| {
            shard.cluster().begin_handshake(shard, &node, until, asker)
        });
    }

    /// On the first shard: finds out how many channels a node has, and tells all shards. Tries until then.
    fn begin_handshake(&self, shard: &Rc<ShardCore>, node: &Text, until: Millis, asker: usize) {
        // The asker looks at the map itself.
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        if let Some(channels) = self.known_channels(node) {
            let node = Text::clone(node);
            return shard.run_on(asker, move |shard| {
                shard.cluster().learn_channels(shard, &node, channels)
            });
        }
        let channel = self.channel_numbered(node, 1);
        let channel = channel.unwrap_or_else(|| self.open_channel(shard, node, 1, address));
        channel.connect_until(until);
    }

    /// A node's first channel has found out how many channels it has.
    pub(in crate::cluster) fn handshake_done(&self, shard: &Rc<ShardCore>, node: &Text, channels: u32) {
        if self.known_channels(node) != Some(channels) {
            let node = Text::clone(node);
            shard.run_on_all(move |shard| shard.cluster().learn_channels(shard, &node, channels));
        }
    }

    /// Learns how many channels a node has, and lets the requests go that waited for it.
    fn learn_channels(&self, shard: &Rc<ShardCore>, node: &Text, channels: u32) {
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        self.peers_mut()
            .get_or_insert(node, address)
            .set_channels(channels);
        self.pending.end_attempt(node);
        self.drain_pending(shard, node);
    }
}
