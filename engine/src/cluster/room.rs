//! The cluster room of one shard: what it keeps.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::accepting::budget::Budget;
use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::incidents::Incidents;
use crate::cluster::accepting::sessions::Sessions;
use crate::cluster::dialling::channel::Channel;
use crate::cluster::dialling::peers::Peers;
use crate::cluster::dialling::pending::Pending;
use crate::cluster::group::Groups;
use crate::cluster::membership::states::States;
use crate::cluster::shared::ClusterShared;
use crate::config::{ClusterMap, NodeAddress, NodeEntry};
use crate::core::ShardCore;
use crate::core::node::NodeShared;
use crate::core::settings::DialectChoice;
use crate::core::slab::{Key, Slab};
use crate::core::versioned::Reader;

/// What the map says of a node.
pub(in crate::cluster) enum Entry {
    At(NodeAddress),
    Disabled,
    Absent { nowaiting: bool },
}

/// One shard's part of the cluster.
pub(crate) struct ClusterShard {
    /// What all shards know.
    pub(crate) shared: Arc<ClusterShared>,
    pub(in crate::cluster) map: Reader<ClusterMap>,
    /// The nodes that this shard has to do with.
    pub(in crate::cluster) peers: RefCell<Peers>,
    /// Counts the changes of `peers`, from 1 on.
    pub(in crate::cluster) peers_version: Cell<u64>,
    /// Every channel, those too that only finish what they have.
    pub(in crate::cluster) channels: RefCell<Slab<Rc<Channel>>>,
    /// The requests that cannot go on yet.
    pub(in crate::cluster) pending: Pending,
    /// Every connection that a peer opened, and every session that waits for one.
    pub(in crate::cluster) inbound: RefCell<Slab<Rc<Inbound>>>,
    pub(in crate::cluster) sessions: Sessions,
    /// What the accepted connections hold.
    pub(in crate::cluster) budget: Rc<Budget>,
    pub(in crate::cluster) incidents: Incidents,
    /// Who is up and who is down.
    pub(in crate::cluster) states: States,
    pub(in crate::cluster) groups: Groups,
    /// The node stops: peers are told to go elsewhere.
    pub(in crate::cluster) is_draining: Cell<bool>,
}

impl ClusterShard {
    pub(crate) fn new(node: &NodeShared, shared: &Arc<ClusterShared>) -> ClusterShard {
        ClusterShard {
            map: Reader::new(Arc::clone(&shared.map)),
            peers: RefCell::default(),
            peers_version: Cell::new(1),
            channels: RefCell::default(),
            pending: Pending::default(),
            inbound: RefCell::default(),
            sessions: Sessions::default(),
            budget: Rc::default(),
            incidents: Incidents::default(),
            states: States::new(node.settings.down_after_ms),
            groups: Groups::of(&shared.map.get(), &node.settings.name),
            is_draining: Cell::new(false),
            shared: Arc::clone(shared),
        }
    }

    /// What the map says of a node.
    pub(in crate::cluster) fn entry(&self, node: &str) -> Entry {
        self.map.read(|map| match map.nodes.get(node) {
            Some(NodeEntry::Address(address)) => Entry::At(address.clone()),
            Some(NodeEntry::Disabled) => Entry::Disabled,
            None => Entry::Absent {
                nowaiting: map.nowaiting == Some(true),
            },
        })
    }

    /// Whether there is one channel to a node, whatever that says.
    pub(in crate::cluster) fn has_one_channel(&self, shard: &ShardCore, node: &str) -> bool {
        let is_skynet = shard.node.settings.dialect == DialectChoice::Skynet;
        is_skynet || self.channels_wanted(shard, node) == Some(1)
    }

    /// How many channels to have to a node: what the map says, else the node's config; `None`: any number.
    pub(in crate::cluster) fn channels_wanted(&self, shard: &ShardCore, node: &str) -> Option<u32> {
        self.map
            .read(|map| map.channels(node))
            .or(shard.node.settings.channels)
    }

    /// The nodes, to be changed: routes that are remembered are looked up again.
    pub(in crate::cluster) fn peers_mut(&self) -> RefMut<'_, Peers> {
        self.peers_version.set(self.peers_version.get() + 1);
        self.peers.borrow_mut()
    }

    /// The channels of a node that this shard has.
    pub(in crate::cluster) fn channels_of(&self, node: &str) -> Vec<Rc<Channel>> {
        let peers = self.peers.borrow();
        peers.get(node).map_or_else(Vec::new, |peer| peer.own().to_vec())
    }

    /// The channel with that number of a node, if this shard has it.
    pub(in crate::cluster) fn channel_numbered(&self, node: &str, number: u32) -> Option<Rc<Channel>> {
        self.peers.borrow().get(node)?.channel(number).cloned()
    }

    /// How many channels a node has, if that is known.
    pub(in crate::cluster) fn known_channels(&self, node: &str) -> Option<u32> {
        self.peers.borrow().get(node)?.channels()
    }

    /// The channel with that key.
    pub(in crate::cluster) fn channel(&self, key: Key) -> Option<Rc<Channel>> {
        self.channels.borrow().get(key).cloned()
    }

    /// Every connection that a peer opened, and every session that waits for one.
    pub(in crate::cluster) fn all_inbound(&self) -> Vec<Rc<Inbound>> {
        self.inbound.borrow().iter().cloned().collect()
    }

    /// Whether the node stops, and peers are told to go elsewhere.
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
