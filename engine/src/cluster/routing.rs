//! Routing of requests for other nodes to a channel.

use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::dialling::channel::Channel;
use crate::cluster::room::{ClusterShard, Entry};
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::envelope::Envelope;
use crate::core::placement::{channel_of_key, shard_of_channel};
use crate::core::request::{Outgoing, RemoteRequest};
use crate::core::route::Route;
use crate::error::{Error, Text};
use crate::rt;

impl ClusterShard {
    /// Sends a request by a cached route; without one, by [`ClusterShard::route`].
    #[inline]
    pub(crate) fn request_by_route(&self, shard: &Rc<ShardCore>, route: &Route, outgoing: Outgoing<'_>) {
        match self.cached_channel(route, outgoing.key) {
            Some(channel) => channel.request(shard, outgoing),
            None => self.route(shard, outgoing.into_request(Text::clone(&route.node))),
        }
    }

    /// The channel of a key by a cached route; `None`: the route is not valid.
    #[inline(always)]
    pub(in crate::cluster) fn cached_channel(&self, route: &Route, key: u64) -> Option<Rc<Channel>> {
        if self.is_map_stale() {
            return None;
        }
        let index = route.index(self.peers_version.get(), |node| {
            // Pending requests go first.
            let may_pass = !self.pending.is_draining(node);
            may_pass.then(|| self.peers.borrow().index(node)).flatten()
        })?;
        self.peers.borrow().at(index)?.channel_of_key(key).cloned()
    }

    /// Sends a request to another node, on the channel of its key; refuses it where there is no way.
    pub(crate) fn route(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        // A caller that has seen a reload return may call before this shard learns of the change.
        self.refresh_map(shard);
        if self.pending.is_draining(&request.node) {
            // Pending requests go first.
            return self.add_pending(shard, request);
        }
        if let Some(request) = self.route_to_group(shard, request) {
            self.route_to_node(shard, request);
        }
    }

    /// Like `route`, for a request whose name is a node's.
    pub(in crate::cluster) fn route_to_node(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        if self.pending.is_draining(&request.node) {
            // Pending requests go first.
            return self.add_pending(shard, request);
        }
        self.route_past_pending(shard, request);
    }

    /// Like `route_to_node`, ahead of the pending requests.
    pub(in crate::cluster) fn route_past_pending(&self, shard: &Rc<ShardCore>, mut request: RemoteRequest) {
        let Some(channels) = self.known_channels(&request.node) else {
            return self.await_handshake(shard, request);
        };
        request.channel = channel_of_key(request.key, channels);
        let owner = shard_of_channel(request.channel, shard.shards());
        if owner == shard.index {
            self.request(shard, request);
        } else if let Err(Envelope::Remote(refused)) = shard.stage(owner, Envelope::Remote(Box::new(request)))
        {
            shard.refuse(
                refused.reply_to,
                Error::overloaded(format!("the queue to shard {owner} is full")),
            );
        }
    }

    /// Takes a request for a channel that this shard owns.
    pub(crate) fn request(&self, shard: &Rc<ShardCore>, mut request: RemoteRequest) {
        let channel = match self.channel_numbered(&request.node, request.channel) {
            Some(channel) => channel,
            None => match self.entry(&request.node) {
                Entry::At(address) => self.open_channel(shard, &request.node, request.channel, address),
                entry => return self.refuse_or_add_pending(shard, entry, request),
            },
        };
        channel.request_remote(shard, &mut request);
    }

    /// Refuses a request for a node that the map has no address for, or adds it to the pending ones.
    pub(in crate::cluster) fn refuse_or_add_pending(
        &self,
        shard: &Rc<ShardCore>,
        entry: Entry,
        request: RemoteRequest,
    ) {
        let node = Arc::clone(&request.node);
        match entry {
            Entry::Disabled => {
                let error = Error::Disabled {
                    node,
                    may_have_run: false,
                };
                shard.refuse(request.reply_to, error);
            }
            Entry::Absent { nowaiting: true } => shard.refuse(request.reply_to, Error::Absent { node }),
            Entry::Absent { nowaiting: false } | Entry::At(_) => self.add_pending(shard, request),
        }
    }

    /// Opens a channel to a node; it connects when it is first used.
    pub(in crate::cluster) fn open_channel(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
        number: u32,
        address: NodeAddress,
    ) -> Rc<Channel> {
        let down_cause = self.down_cause(node);
        let when_down = self.when_down(shard, node);
        let node_name = Arc::clone(node);
        let channel = Channel::new(shard, node_name, number, address.clone(), down_cause, when_down);
        let precedes = |channel: &&Rc<Channel>| channel.precedes(node);
        let predecessors = self.channels.borrow().iter().filter(precedes).cloned().collect();
        channel.set_predecessors(predecessors);
        channel.set_key(self.channels.borrow_mut().insert(Rc::clone(&channel)));
        self.peers_mut()
            .get_or_insert(node, address)
            .add(Rc::clone(&channel));
        rt::spawn(Rc::clone(&channel).run(Rc::clone(shard)));
        channel
    }
}
