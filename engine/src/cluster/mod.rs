//! The cluster, as one shard sees it: its channels to peers, the connections that peers opened, and the
//! requests that wait for the map to name their node.
//!
//! A peer's channel belongs to one shard; requests from other shards come there by way of the router. The
//! map is shared by all shards and changed by `reload`; each shard then looks at its own channels.

pub(crate) mod accepted;
pub(crate) mod api;
pub(crate) mod budget;
pub(crate) mod channel;
pub(crate) mod clients;
pub(crate) mod connection;
pub(crate) mod detector;
pub(crate) mod group;
pub(crate) mod inbound;
mod leaving;
pub(crate) mod listener;
pub(crate) mod monitor;
mod pace;
pub(crate) mod parked;
pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod route;
pub(crate) mod sessions;
pub(crate) mod states;
pub(crate) mod waiting;

use std::cell::{Cell, RefCell, RefMut};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use skyring_codec::Millis;
use skyring_codec::link::CalleeLink;
use skyring_codec::native::Hello;

use crate::cluster::budget::Budget;
use crate::cluster::channel::{Channel, Loss};
use crate::cluster::clients::Admission;
use crate::cluster::group::Groups;
use crate::cluster::inbound::{Case, Inbound};
use crate::cluster::peer::Peer;
use crate::cluster::route::Route;
use crate::cluster::sessions::{Holder, Sessions};
use crate::cluster::states::States;
use crate::cluster::waiting::Waiting;
use crate::config::{ClusterMap, NodeAddress, NodeEntry};
use crate::control;
use crate::error::{Error, Text};
use crate::log::Throttle;
use crate::node::shared::{DialectChoice, NodeShared};
use crate::rt;
use crate::rt::stream::Stream;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::service::placement::{channel_of_key, shard_of_channel};
use crate::shard::Shard;
use crate::shard::envelope::{Envelope, RemoteRequest};
use crate::shard::slab::{Key, Slab};
use crate::versioned::Reader;

/// Time between two log lines of the same case, in milliseconds.
const CASE_LOG_INTERVAL_MS: u64 = 10_000;

/// How much longer than a request waits the first shard tries to meet its node.
const MEETING_STEP_MS: Millis = 500;

/// What the map says of a node.
enum Entry {
    At(NodeAddress),
    Disabled,
    Absent { nowaiting: bool },
}

/// One shard's part of the cluster.
pub(crate) struct ClusterShard {
    map: Reader<ClusterMap>,
    /// The nodes that this shard has to do with.
    peers: RefCell<FxHashMap<Text, Peer>>,
    /// Counts the changes of `peers`, from 1 on.
    peers_changes: Cell<u64>,
    /// Every channel, those too that only finish what they have.
    channels: RefCell<Slab<Rc<Channel>>>,
    inbound: RefCell<Slab<Rc<Inbound>>>,
    sessions: Sessions,
    /// The requests that cannot go on yet.
    waiting: Waiting,
    /// Until when the first shard was asked to try to meet a node.
    asked: RefCell<FxHashMap<Text, Millis>>,
    /// Who is up and who is down.
    states: States,
    groups: Groups,
    /// The node takes its leave.
    leaving: Cell<bool>,
    /// What the accepted connections hold.
    pub(crate) budget: Budget,
    case_log: [Throttle; Case::COUNT],
}

impl ClusterShard {
    pub(crate) fn new(node: &NodeShared) -> ClusterShard {
        ClusterShard {
            map: Reader::new(Arc::clone(&node.map)),
            peers: RefCell::default(),
            peers_changes: Cell::new(1),
            channels: RefCell::default(),
            inbound: RefCell::default(),
            sessions: Sessions::default(),
            waiting: Waiting::default(),
            groups: Groups::of(&node.map.get(), &node.settings.name),
            asked: RefCell::default(),
            states: States::new(node.settings.down_after_ms),
            leaving: Cell::new(false),
            budget: Budget::default(),
            case_log: std::array::from_fn(|_| Throttle::new(CASE_LOG_INTERVAL_MS)),
        }
    }

    fn entry(&self, node: &str) -> Entry {
        self.map.read(|map| match map.nodes.get(node) {
            Some(NodeEntry::Address(address)) => Entry::At(address.clone()),
            Some(NodeEntry::Disabled) => Entry::Disabled,
            None => Entry::Absent {
                nowaiting: map.nowaiting == Some(true),
            },
        })
    }

    /// Whether there is one channel to a node, whatever that says.
    fn has_one_channel(&self, shard: &Shard, node: &str) -> bool {
        let is_skynet = shard.node.settings.dialect == DialectChoice::Skynet;
        is_skynet || self.channels_wanted(shard, node) == Some(1)
    }

    /// How many channels to have to a node: what the map says, else the node's config; `None`: any number.
    pub(crate) fn channels_wanted(&self, shard: &Shard, node: &str) -> Option<u32> {
        self.map
            .read(|map| map.channels(node))
            .or(shard.node.settings.channels)
    }

    /// The nodes, to be changed: routes that are remembered are looked up again.
    fn peers_mut(&self) -> RefMut<'_, FxHashMap<Text, Peer>> {
        self.peers_changes.set(self.peers_changes.get() + 1);
        self.peers.borrow_mut()
    }

    // ---- requests to other nodes ----

    /// The channel that a call takes by a remembered way; `None` = there is none, and the call goes the
    /// long one, by [`ClusterShard::route`].
    #[inline(always)]
    pub(crate) fn remembered(&self, route: &Route, key: u64) -> Option<Rc<Channel>> {
        if self.map.has_news() {
            return None;
        }
        route.channel(key, self.peers_changes.get(), |node| self.own_channels(node))
    }

    /// The channels of a node, each at its number less 1, but those that this shard has not.
    fn own_channels(&self, node: &str) -> Vec<Option<Rc<Channel>>> {
        if self.waiting.is_releasing(node) {
            return Vec::new();
        }
        let peers = self.peers.borrow();
        let Some(peer) = peers.get(node) else {
            return Vec::new();
        };
        let numbers = 1..=peer.channels.unwrap_or(0);
        numbers.map(|number| peer.channel(number).cloned()).collect()
    }

    /// The channels of a node that this shard has.
    fn channels_of(&self, node: &str) -> Vec<Rc<Channel>> {
        let peers = self.peers.borrow();
        peers.get(node).map_or_else(Vec::new, |peer| peer.own().to_vec())
    }

    /// Sends a request to another node on the channel of its key; what cannot go on is answered.
    pub(crate) fn route(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        // Who has seen a reload return may call before the news of it has come to this shard.
        if self.map.has_news() {
            self.map_changed(shard);
        }
        if let Some(request) = self.route_to_group(shard, request) {
            self.route_to_node(shard, request);
        }
    }

    /// The same for a request whose name is a node's.
    fn route_to_node(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        if self.waiting.is_releasing(&request.node) {
            // Others have waited longer.
            return self.park(shard, request);
        }
        self.route_now(shard, request);
    }

    fn route_now(&self, shard: &Rc<Shard>, mut request: RemoteRequest) {
        let channels = self
            .peers
            .borrow()
            .get(&request.node)
            .and_then(|peer| peer.channels);
        let Some(channels) = channels else {
            return self.meet(shard, request);
        };
        request.channel = channel_of_key(request.key, channels);
        let owner = shard_of_channel(request.channel, shard.shards());
        if owner == shard.index {
            self.request(shard, request);
        } else if let Err(Envelope::Remote(refused)) = shard.stage(owner, Envelope::Remote(Box::new(request)))
        {
            shard.refuse(
                refused.reply_to,
                Error::overloaded(format!("shard {owner} is behind")),
            );
        }
    }

    /// Takes a request for a channel that this shard owns.
    pub(crate) fn request(&self, shard: &Rc<Shard>, mut request: RemoteRequest) {
        let channel = self
            .peers
            .borrow()
            .get(&request.node)
            .and_then(|peer| peer.channel(request.channel).cloned());
        let channel = match channel {
            Some(channel) => channel,
            None => match self.entry(&request.node) {
                Entry::At(address) => self.open_channel(shard, &request.node, request.channel, address),
                entry => return self.refuse_or_park(shard, entry, request),
            },
        };
        channel.request_remote(shard, &mut request);
    }

    fn refuse_or_park(&self, shard: &Rc<Shard>, entry: Entry, request: RemoteRequest) {
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
            Entry::Absent { nowaiting: false } | Entry::At(_) => self.park(shard, request),
        }
    }

    fn open_channel(&self, shard: &Rc<Shard>, node: &Text, number: u32, address: NodeAddress) -> Rc<Channel> {
        let channel = Channel::new(shard, Arc::clone(node), number, address.clone());
        channel.set_key(self.channels.borrow_mut().insert(Rc::clone(&channel)));
        self.peers_mut()
            .entry(Arc::clone(node))
            .or_insert_with(|| Peer::new(address, None))
            .add(Rc::clone(&channel));
        rt::spawn(Rc::clone(&channel).run(Rc::clone(shard)));
        channel
    }

    // ---- meeting a node: how many channels it has ----

    /// Keeps the first requests to a node until its first channel knows how many it has.
    fn meet(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        let address = match self.entry(&request.node) {
            Entry::At(address) => address,
            entry => return self.refuse_or_park(shard, entry, request),
        };
        if self.has_one_channel(shard, &request.node) {
            // There is nothing to find out.
            self.peers_mut()
                .entry(Arc::clone(&request.node))
                .or_insert_with(|| Peer::new(address, None))
                .channels = Some(1);
            return self.route_now(shard, request);
        }
        let node = Arc::clone(&request.node);
        if request.reply_to.session() != 0
            && let Some(cause) = self.down_cause(&node)
        {
            return self.refuse_down(shard, &node, &cause, request.reply_to);
        }
        let until = request.deadline.unwrap_or(Millis::MAX);
        self.park(shard, request);
        self.ask_to_meet(shard, node, until);
    }

    /// Has the first shard try to meet a node until then.
    fn ask_to_meet(&self, shard: &Rc<Shard>, node: Text, until: Millis) {
        let mut asked = self.asked.borrow_mut();
        if asked.get(&node).is_some_and(|asked_until| until <= *asked_until) {
            return;
        }
        // A little longer than this request needs, so that not every request asks anew.
        let until = until.saturating_add(MEETING_STEP_MS);
        asked.insert(Arc::clone(&node), until);
        drop(asked);
        let asker = shard.index;
        let errand = move |shard: &Rc<Shard>| shard.cluster.introduce(shard, &node, until, asker);
        if shard.index == 0 {
            errand(shard);
        } else {
            // Errands are never refused; see `stage`.
            let _ = shard.stage(0, Envelope::Errand(Box::new(errand)));
        }
    }

    /// On the first shard: finds out how many channels a node has, and tells all shards. Tries until then.
    fn introduce(&self, shard: &Rc<Shard>, node: &Text, until: Millis, asker: usize) {
        // The asker looks at the map itself.
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        let (known, channel) = {
            let peers = self.peers.borrow();
            let peer = peers.get(node);
            (
                peer.and_then(|peer| peer.channels),
                peer.and_then(|peer| peer.channel(1).cloned()),
            )
        };
        if let Some(channels) = known {
            let node = Arc::clone(node);
            let errand = move |shard: &Rc<Shard>| shard.cluster.learn(shard, &node, channels);
            if asker == shard.index {
                errand(shard);
            } else {
                let _ = shard.stage(asker, Envelope::Errand(Box::new(errand)));
            }
            return;
        }
        let channel = channel.unwrap_or_else(|| self.open_channel(shard, node, 1, address));
        channel.connect_until(until);
    }

    /// A node's first channel has found out how many channels it has.
    pub(crate) fn met(&self, shard: &Rc<Shard>, node: &Text, channels: u32) {
        let known = self.peers.borrow().get(node).and_then(|peer| peer.channels);
        if known != Some(channels) {
            let node = Arc::clone(node);
            control::on_every_shard(shard, move |shard| shard.cluster.learn(shard, &node, channels));
        }
    }

    /// Learns how many channels a node has, and lets the requests go that waited for it.
    fn learn(&self, shard: &Rc<Shard>, node: &Text, channels: u32) {
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        self.peers_mut()
            .entry(Arc::clone(node))
            .or_insert_with(|| Peer::new(address, None))
            .channels = Some(channels);
        self.asked.borrow_mut().remove(node);
        self.release(shard, node);
    }

    // ---- channels and the map ----

    /// A deadline of a channel has come.
    pub(crate) fn channel_deadline(&self, shard: &Rc<Shard>, key: Key) {
        if let Some(channel) = self.channel(key) {
            channel.deadline(shard);
        }
    }

    /// The channel with that key.
    pub(crate) fn channel(&self, key: Key) -> Option<Rc<Channel>> {
        self.channels.borrow().get(key).cloned()
    }

    /// Forgets a channel that has ended.
    pub(crate) fn remove_channel(&self, key: Key) {
        let removed = self.channels.borrow_mut().remove(key);
        if let Some(channel) = removed
            && let Some(peer) = self.peers_mut().get_mut(&channel.node)
        {
            peer.remove(&channel);
        }
    }

    /// Acts on a changed map: nodes turned off lose their calls at once, nodes that moved are reached at
    /// their new place from the next call on, and requests that waited for a node go to it.
    pub(crate) fn map_changed(&self, shard: &Rc<Shard>) {
        self.map.read(|_| ());
        let nodes: Vec<Text> = self.peers.borrow().keys().cloned().collect();
        for node in nodes {
            self.entry_changed(shard, &node);
        }
        self.forget_moved(shard);
        self.groups_changed(shard);
        self.asked.borrow_mut().clear();
        self.end_sessions_of_disabled(shard);
        if shard.index == 0 {
            self.probe_kept(shard);
        }
        self.map_changed_for_waiting(shard);
    }

    fn entry_changed(&self, shard: &Rc<Shard>, node: &Text) {
        let entry = self.entry(node);
        let mut peers = self.peers_mut();
        let Some(peer) = peers.get_mut(node) else { return };
        match entry {
            Entry::At(address) if address == peer.address => {}
            Entry::At(address)
                if !peer.own().is_empty() && !peer.own().iter().any(|own| own.is_connected()) =>
            {
                // Nothing was sent to the old place that is not known to be lost: go to the new one.
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
                    channel.end(shard, Loss::Disabled);
                }
            }
            // Entries that a reload does not name stay, so this does not happen.
            Entry::Absent { .. } => {}
        }
    }

    // ---- connections that peers opened ----

    /// Takes over an accepted socket.
    pub(crate) fn accept(
        &self,
        shard: &Rc<Shard>,
        socket: OwnedFd,
        peer: SocketAddr,
        admission: Arc<Admission>,
    ) {
        if shard.stopping.get() || self.is_leaving() {
            return;
        }
        let Some(stream) = adopt(shard, socket, peer) else {
            return;
        };
        let inbound = Inbound::new(peer, admission, shard.now());
        inbound.set_key(self.inbound.borrow_mut().insert(Rc::clone(&inbound)));
        inbound.begin(shard, stream);
    }

    /// Goes on with a connection that was accepted on another shard and is a channel of this one.
    pub(crate) fn take_over(
        &self,
        shard: &Rc<Shard>,
        socket: OwnedFd,
        peer: SocketAddr,
        admission: Arc<Admission>,
        link: CalleeLink,
        hello: &Hello,
    ) {
        if shard.stopping.get() {
            return;
        }
        let Some(stream) = adopt(shard, socket, peer) else {
            return;
        };
        match self.session_holder(shard, hello, &link) {
            Holder::Nobody => {}
            Holder::GoesOn(holder) => return holder.go_on(shard, link, stream, hello, peer, admission),
            Holder::IsFurther => return,
        }
        let inbound = Inbound::new(peer, admission, shard.now());
        inbound.set_key(self.inbound.borrow_mut().insert(Rc::clone(&inbound)));
        inbound.take_over(shard, link, hello);
        inbound.begin(shard, stream);
    }

    /// Carries an answer to the connection that asked; if that is gone, so is the answer. `bytes` is the
    /// size of the request that is over with it.
    pub(crate) fn respond(
        &self,
        shard: &Rc<Shard>,
        connection: Key,
        session: u32,
        bytes: usize,
        result: Result<Payload, Error>,
    ) {
        self.budget.finish_request(bytes);
        let inbound = self.inbound.borrow().get(connection).cloned();
        match inbound {
            Some(inbound) => inbound.respond(shard, session, bytes, result),
            None if session == 0 => {}
            None => shard.node.metrics.replies_late.add(1),
        }
    }

    /// Logs one line of a case, and not again for a while.
    pub(crate) fn log_case(&self, shard: &Shard, case: Case, text: impl FnOnce() -> String) {
        let allowed = self.case_log[case as usize].allow(shard.now());
        match allowed {
            Some(0) => shard.log(Handle::NONE, text()),
            Some(more) => shard.log(Handle::NONE, format!("{} ({more} more since the last)", text())),
            None => {}
        }
    }

    /// Ends every connection, because the shard stops.
    pub(crate) fn close(&self, shard: &Rc<Shard>) {
        let channels: Vec<Rc<Channel>> = self.channels.borrow().iter().cloned().collect();
        for channel in channels {
            channel.end(shard, Loss::ShuttingDown);
        }
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for connection in inbound {
            connection.shutdown();
        }
        self.end_all_detached(shard);
        self.refuse_waiting(shard);
    }

    /// Whether every connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.channels.borrow().len() == 0 && self.inbound.borrow().len() == 0
    }
}

/// Binds an accepted socket to this shard's executor; one that cannot be is closed, and the log says why.
fn adopt(shard: &Shard, socket: OwnedFd, peer: SocketAddr) -> Option<Rc<Stream>> {
    match Stream::adopt(socket) {
        Ok(stream) => Some(Rc::new(stream)),
        Err(error) => {
            shard.log(Handle::NONE, format!("connection from {peer}: {error}"));
            None
        }
    }
}
