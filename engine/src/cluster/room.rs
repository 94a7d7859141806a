//! The state of the cluster room of one shard.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::accepting::budget::Budget;
use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::incidents::Incidents;
use crate::cluster::accepting::sessions::Sessions;
use crate::cluster::accepting::waiting::Waiting;
use crate::cluster::dialling::channel::Channel;
use crate::cluster::dialling::peers::Peers;
use crate::cluster::dialling::pending::Pending;
use crate::cluster::group::Groups;
use crate::cluster::membership::states::States;
use crate::cluster::shared::ClusterShared;
use crate::config::{ClusterMap, NodeAddress, NodeEntry, WhenDown};
use crate::core::ShardCore;
use crate::core::node::NodeShared;
use crate::core::request::RemoteRequest;
use crate::core::settings::DialectChoice;
use crate::core::slab::{Key, Slab};
use crate::core::versioned::Reader;
use crate::error::{Text, is_refusal};

/// The entry of a node in the map.
pub(in crate::cluster) enum Entry {
    At(NodeAddress),
    Disabled,
    Absent { nowaiting: bool },
}

/// The cluster room of one shard.
pub(crate) struct ClusterShard {
    /// The state that all shards share.
    pub(crate) shared: Arc<ClusterShared>,
    pub(in crate::cluster) map: Reader<ClusterMap>,
    /// The version of the map that peers, channels and pending requests were last compared with.
    pub(in crate::cluster) map_applied: Cell<u64>,
    /// The nodes that this shard has requests or channels for.
    pub(in crate::cluster) peers: RefCell<Peers>,
    /// Counts the changes of `peers`, from 1.
    pub(in crate::cluster) peers_version: Cell<u64>,
    /// Every channel, retired ones included.
    pub(in crate::cluster) channels: RefCell<Slab<Rc<Channel>>>,
    /// The pending requests.
    pub(in crate::cluster) pending: Pending,
    /// Every inbound connection, and every detached session.
    pub(in crate::cluster) inbound: RefCell<Slab<Rc<Inbound>>>,
    pub(in crate::cluster) sessions: Sessions,
    /// The connections that have not proved the cluster secret yet.
    pub(in crate::cluster) waiting: Waiting,
    /// The memory that the inbound connections hold.
    pub(in crate::cluster) budget: Rc<Budget>,
    pub(in crate::cluster) incidents: Incidents,
    /// The state of other nodes.
    pub(in crate::cluster) states: States,
    pub(in crate::cluster) groups: Groups,
    /// The node is stopping, and has said goodbye to its peers.
    pub(in crate::cluster) is_draining: Cell<bool>,
}

impl ClusterShard {
    pub(crate) fn new(node: &NodeShared, shared: &Arc<ClusterShared>) -> ClusterShard {
        ClusterShard {
            map: Reader::new(Arc::clone(&shared.map)),
            map_applied: Cell::new(0),
            peers: RefCell::default(),
            peers_version: Cell::new(1),
            channels: RefCell::default(),
            pending: Pending::default(),
            inbound: RefCell::default(),
            sessions: Sessions::default(),
            waiting: Waiting::default(),
            budget: Rc::default(),
            incidents: Incidents::default(),
            states: States::new(node.settings.down_after_ms),
            groups: Groups::of(&shared.map.get(), &node.settings.name),
            is_draining: Cell::new(false),
            shared: Arc::clone(shared),
        }
    }

    /// The entry of a node in the map.
    pub(in crate::cluster) fn entry(&self, node: &str) -> Entry {
        self.map.read(|map| match map.nodes.get(node) {
            Some(NodeEntry::Address(address)) => Entry::At(address.clone()),
            Some(NodeEntry::Disabled) => Entry::Disabled,
            None => Entry::Absent {
                nowaiting: map.nowaiting == Some(true),
            },
        })
    }

    /// Whether the map has a node at this address.
    pub(in crate::cluster) fn is_at(&self, node: &str, address: &NodeAddress) -> bool {
        self.map
            .read(|map| map.nodes.get(node).and_then(NodeEntry::address) == Some(address))
    }

    /// Whether the configuration alone fixes one channel to a node.
    pub(in crate::cluster) fn has_one_channel(&self, shard: &ShardCore, node: &str) -> bool {
        let is_skynet = shard.node.settings.dialect == DialectChoice::Skynet;
        is_skynet || self.channels_wanted(shard, node) == Some(1)
    }

    /// The configured number of channels to a node: the map's, else the node config's; `None`: any number.
    pub(in crate::cluster) fn channels_wanted(&self, shard: &ShardCore, node: &str) -> Option<u32> {
        self.map
            .read(|map| map.channels(node))
            .or(shard.node.settings.channels)
    }

    /// What happens to calls to a node or a group that is down, unless they say otherwise: what the map says, else the
    /// node config.
    pub(in crate::cluster) fn when_down(&self, shard: &ShardCore, node: &str) -> WhenDown {
        self.map
            .read(|map| map.when_down(node))
            .unwrap_or(shard.node.settings.when_down)
    }

    /// Whether a request waits while this cause keeps its node down. Nothing waits for a node that refuses this one: it
    /// will mostly do so until somebody changes a config. A send always waits.
    pub(in crate::cluster) fn waits_for_node(
        &self,
        shard: &ShardCore,
        request: &RemoteRequest,
        cause: &Text,
    ) -> bool {
        let when_down = || self.when_down(shard, &request.node);
        request.reply_to.session() == 0
            || !is_refusal(cause) && request.when_down.unwrap_or_else(when_down).waits()
    }

    /// The peers, for a change; invalidates the cached routes.
    pub(in crate::cluster) fn peers_mut(&self) -> RefMut<'_, Peers> {
        self.peers_version.set(self.peers_version.get() + 1);
        self.peers.borrow_mut()
    }

    /// The channels of a node that this shard owns.
    pub(in crate::cluster) fn channels_of(&self, node: &str) -> Vec<Rc<Channel>> {
        let peers = self.peers.borrow();
        peers.get(node).map_or_else(Vec::new, |peer| peer.own().to_vec())
    }

    /// The channel of a node with this number, if this shard owns it and has opened it.
    pub(in crate::cluster) fn channel_numbered(&self, node: &str, number: u32) -> Option<Rc<Channel>> {
        self.peers.borrow().get(node)?.channel(number).cloned()
    }

    /// The number of channels of a node, if it is known.
    pub(in crate::cluster) fn known_channels(&self, node: &str) -> Option<u32> {
        self.peers.borrow().get(node)?.channels()
    }

    /// The channel with this key.
    pub(in crate::cluster) fn channel(&self, key: Key) -> Option<Rc<Channel>> {
        self.channels.borrow().get(key).cloned()
    }

    /// Every inbound connection, and every detached session.
    pub(in crate::cluster) fn all_inbound(&self) -> Vec<Rc<Inbound>> {
        self.inbound.borrow().iter().cloned().collect()
    }

    /// Whether the node is stopping and has said goodbye to its peers.
    pub(in crate::cluster) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }
}

impl ShardCore {
    /// The cluster room of this shard.
    pub(crate) fn cluster(&self) -> &ClusterShard {
        self.room()
    }
}
