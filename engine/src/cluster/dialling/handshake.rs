//! The first handshake with a node, which tells how many channels it has: until then its requests are pending.
//!
//! Only the first shard connects for it. It sends the result to all shards.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::room::{ClusterShard, Entry};
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::request::RemoteRequest;
use crate::error::Text;

/// How much longer than a request waits the first shard keeps trying to reach its node, so that not every request
/// asks it again.
const ATTEMPT_MARGIN_MS: Millis = 500;

impl ClusterShard {
    /// Keeps requests to a node pending until its first channel knows the number of channels.
    pub(in crate::cluster) fn await_handshake(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        let address = match self.entry(&request.node) {
            Entry::At(address) => address,
            entry => return self.refuse_or_add_pending(shard, entry, request),
        };
        if self.has_one_channel(shard, &request.node) {
            // The number is known without a handshake.
            self.peers_mut()
                .get_or_insert(&request.node, address)
                .set_channels(1);
            return self.route_past_pending(shard, request);
        }
        let node = Text::clone(&request.node);
        if let Some(cause) = self.down_cause(&node)
            && !self.waits_for_node(shard, &request, &cause)
        {
            return self.refuse_down(shard, &node, &cause, request.reply_to);
        }
        let until = request.deadline.unwrap_or(Millis::MAX);
        self.add_pending(shard, request);
        self.request_handshake(shard, node, until);
    }

    /// Asks the first shard to try to reach a node until this time.
    pub(in crate::cluster) fn request_handshake(&self, shard: &Rc<ShardCore>, node: Text, until: Millis) {
        let Some(until) = self.pending.extend_attempt(&node, until, ATTEMPT_MARGIN_MS) else {
            return;
        };
        let requester = shard.index;
        shard.run_on(0, move |shard| {
            shard.cluster().begin_handshake(shard, &node, until, requester)
        });
    }

    /// On the first shard: finds out how many channels a node has, and sends the number to all shards. Tries until
    /// this time.
    fn begin_handshake(&self, shard: &Rc<ShardCore>, node: &Text, until: Millis, requester: usize) {
        // The requester may have seen a reload that this shard has not, and what is known is about the old address.
        self.refresh_map(shard);
        // The asking shard checks the map itself.
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        if let Some(channels) = self.known_channels(node) {
            let node = Text::clone(node);
            return shard.run_on(requester, move |shard| {
                shard.cluster().set_channels(shard, &node, &address, channels)
            });
        }
        let channel = self.channel_numbered(node, 1);
        let channel = channel.unwrap_or_else(|| self.open_channel(shard, node, 1, address));
        channel.connect_until(until);
    }

    /// Handles the end of the handshake of a node's first channel, which leads to this address.
    pub(in crate::cluster) fn end_handshake(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
        address: NodeAddress,
        channels: u32,
    ) {
        self.refresh_map(shard);
        if !self.is_at(node, &address) || self.known_channels(node) != Some(channels) {
            let node = Text::clone(node);
            shard.run_on_all(move |shard| shard.cluster().set_channels(shard, &node, &address, channels));
        }
    }

    /// Stores the number of channels that a node has at this address, and drains its pending requests. When the node has
    /// moved meanwhile, they ask anew.
    fn set_channels(&self, shard: &Rc<ShardCore>, node: &Text, address: &NodeAddress, channels: u32) {
        self.refresh_map(shard);
        if self.is_at(node, address) {
            self.peers_mut()
                .get_or_insert(node, address.clone())
                .set_channels(channels);
        }
        self.pending.end_attempt(node);
        self.drain_pending(shard, node);
    }
}
