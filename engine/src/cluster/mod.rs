//! The cluster, as one shard sees it: its channels to peers, the connections that peers opened, and the
//! requests that wait for the map to name their node.
//!
//! A peer's channel belongs to one shard; requests from other shards come there by way of the router. The
//! map is shared by all shards and changed by `reload`; each shard then looks at its own channels.

pub(crate) mod api;
pub(crate) mod budget;
pub(crate) mod channel;
pub(crate) mod connection;
pub(crate) mod inbound;
pub(crate) mod listener;
pub(crate) mod proxy;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use skyring_codec::wheel::TimerKey;

use crate::cluster::budget::Budget;
use crate::cluster::channel::{Channel, Loss};
use crate::cluster::inbound::{Case, Inbound};
use crate::cluster::listener::Admission;
use crate::config::{ClusterMap, NodeAddress, NodeEntry};
use crate::error::{Error, Text};
use crate::log::Throttle;
use crate::node::shared::NodeShared;
use crate::rt;
use crate::rt::stream::Stream;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::shard::envelope::RemoteRequest;
use crate::shard::slab::{Key, Slab};
use crate::shard::{Shard, Timer};
use crate::versioned::Reader;

/// Most requests of one shard that wait for the map to name their node.
pub const PARKED_REQUESTS_MAX: usize = 65_536;

/// Time between two log lines of the same case, in milliseconds.
const CASE_LOG_INTERVAL_MS: u64 = 10_000;

struct Parked {
    request: RemoteRequest,
    timer: Option<TimerKey>,
    /// Counts up: the order in which requests came.
    number: u64,
}

/// What the map says of a node.
enum Entry {
    At(NodeAddress),
    Disabled,
    Absent { nowaiting: bool },
}

/// One shard's part of the cluster.
pub(crate) struct ClusterShard {
    map: Reader<ClusterMap>,
    /// The channel that takes a node's next request.
    current: RefCell<FxHashMap<Text, Rc<Channel>>>,
    /// Every channel, those too that only finish what they have.
    channels: RefCell<Slab<Rc<Channel>>>,
    inbound: RefCell<Slab<Rc<Inbound>>>,
    parked: RefCell<Slab<Parked>>,
    parked_so_far: Cell<u64>,
    /// The nodes that requests wait for and that the log has named.
    awaited: RefCell<HashSet<Text>>,
    /// What the accepted connections hold.
    pub(crate) budget: Budget,
    case_log: [Throttle; Case::COUNT],
}

impl ClusterShard {
    pub(crate) fn new(node: &NodeShared) -> ClusterShard {
        ClusterShard {
            map: Reader::new(Arc::clone(&node.map)),
            current: RefCell::default(),
            channels: RefCell::default(),
            inbound: RefCell::default(),
            parked: RefCell::default(),
            parked_so_far: Cell::new(0),
            awaited: RefCell::default(),
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

    // ---- requests to other nodes ----

    /// Takes a request to another node; what cannot go on is answered.
    pub(crate) fn request(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        // Who has seen a reload return may call before the news of it has come to this shard.
        if self.map.has_news() {
            self.map_changed(shard);
        }
        let current = self.current.borrow().get(&request.node).cloned();
        if let Some(channel) = current {
            return channel.request(shard, request);
        }
        match self.entry(&request.node) {
            Entry::At(address) => self
                .open_channel(shard, &request.node, address)
                .request(shard, request),
            Entry::Disabled => {
                let error = Error::Disabled {
                    node: request.node,
                    may_have_run: false,
                };
                shard.refuse(request.reply_to, error);
            }
            Entry::Absent { nowaiting: true } => {
                shard.refuse(request.reply_to, Error::Absent { node: request.node });
            }
            Entry::Absent { nowaiting: false } => self.park(shard, request),
        }
    }

    fn open_channel(&self, shard: &Rc<Shard>, node: &Text, address: NodeAddress) -> Rc<Channel> {
        let channel = Channel::new(Arc::clone(node), address);
        channel.set_key(self.channels.borrow_mut().insert(Rc::clone(&channel)));
        self.current
            .borrow_mut()
            .insert(Arc::clone(node), Rc::clone(&channel));
        rt::spawn(Rc::clone(&channel).run(Rc::clone(shard)));
        channel
    }

    /// Keeps a request until the map names its node or its time is over.
    fn park(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        let mut parked = self.parked.borrow_mut();
        if parked.len() >= PARKED_REQUESTS_MAX {
            let what = format!("{PARKED_REQUESTS_MAX} requests wait for nodes that the map does not name");
            drop(parked);
            return shard.refuse(request.reply_to, Error::overloaded(what));
        }
        let mut awaited = self.awaited.borrow_mut();
        if parked.len() == 0 {
            awaited.clear();
        }
        if awaited.insert(Arc::clone(&request.node)) {
            shard.log(
                Handle::NONE,
                format!("Waiting for cluster node [{}]", request.node),
            );
        }
        let deadline = request.deadline;
        let number = self.parked_so_far.get();
        self.parked_so_far.set(number + 1);
        let timer = None;
        let key = parked.insert(Parked {
            request,
            timer,
            number,
        });
        if let Some(deadline) = deadline {
            let timer = shard.set_timer(deadline, Timer::Parked(key));
            if let Some(parked) = parked.get_mut(key) {
                parked.timer = Some(timer);
            }
        }
    }

    /// The time of a parked request is over.
    pub(crate) fn parked_deadline(&self, shard: &Rc<Shard>, key: Key) {
        let parked = self.parked.borrow_mut().remove(key);
        if let Some(Parked { request, .. }) = parked {
            shard.refuse(request.reply_to, Error::Absent { node: request.node });
        }
    }

    /// A deadline of a channel has come.
    pub(crate) fn channel_deadline(&self, shard: &Rc<Shard>, key: Key) {
        let channel = self.channels.borrow().get(key).cloned();
        if let Some(channel) = channel {
            channel.deadline(shard);
        }
    }

    /// Forgets a channel that has ended.
    pub(crate) fn remove_channel(&self, key: Key) {
        let removed = self.channels.borrow_mut().remove(key);
        if let Some(channel) = removed {
            let mut current = self.current.borrow_mut();
            if current
                .get(&channel.node)
                .is_some_and(|used| Rc::ptr_eq(used, &channel))
            {
                current.remove(&channel.node);
            }
        }
    }

    /// Acts on a changed map: nodes turned off lose their calls at once, nodes that moved are reached at
    /// their new place from the next call on, and requests that waited for a node go to it.
    pub(crate) fn map_changed(&self, shard: &Rc<Shard>) {
        self.map.read(|_| ());
        let current: Vec<Rc<Channel>> = self.current.borrow().values().cloned().collect();
        for channel in current {
            match self.entry(&channel.node) {
                Entry::At(address) if address == channel.address() => {}
                // Nothing was sent to the old place that is not known to be lost: go to the new one.
                Entry::At(address) if !channel.is_connected() => channel.set_address(address),
                Entry::At(_) => {
                    self.current.borrow_mut().remove(&channel.node);
                    channel.retire(shard);
                }
                Entry::Disabled => {
                    self.current.borrow_mut().remove(&channel.node);
                    channel.end(shard, Loss::Disabled);
                }
                // Entries that a reload does not name stay, so this does not happen.
                Entry::Absent { .. } => {}
            }
        }
        self.awaited.borrow_mut().retain(|node| {
            let Entry::At(address) = self.entry(node) else {
                return true;
            };
            shard.log(
                Handle::NONE,
                format!("Cluster node [{node}] resolved : {address}"),
            );
            false
        });
        let mut parked = self.parked.borrow_mut().drain();
        // Places are reused, so the order of the places is not the order of the callers.
        parked.sort_unstable_by_key(|parked| parked.number);
        for Parked { request, timer, .. } in parked {
            if let Some(timer) = timer {
                shard.cancel_timer(timer);
            }
            self.request(shard, request);
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
        if shard.stopping.get() {
            return;
        }
        let inbound = Inbound::new(peer, admission, shard.now());
        inbound.set_key(self.inbound.borrow_mut().insert(Rc::clone(&inbound)));
        let stream = Rc::new(Stream::adopt(socket));
        rt::spawn(inbound.run(Rc::clone(shard), stream));
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

    /// Forgets a connection that has ended.
    pub(crate) fn remove_inbound(&self, key: Key) {
        self.inbound.borrow_mut().remove(key);
    }

    /// Ends the connection that holds the most, and so on until all together hold no more than they may.
    pub(crate) fn make_room(&self, shard: &Rc<Shard>) {
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for connection in &inbound {
            connection.release(shard);
        }
        while self.budget.is_over() {
            let Some(largest) = inbound.iter().max_by_key(|connection| connection.held()) else {
                return;
            };
            if largest.held() == 0 {
                return;
            }
            largest.end_greedy(shard);
        }
    }

    /// Looks at every accepted connection for one that is silent or stalled.
    pub(crate) fn sweep(&self, shard: &Rc<Shard>) {
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for connection in inbound {
            connection.sweep(shard);
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
        let parked = self.parked.borrow_mut().drain();
        for Parked { request, .. } in parked {
            shard.refuse(request.reply_to, Error::ShuttingDown);
        }
    }

    /// Whether every connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.channels.borrow().len() == 0 && self.inbound.borrow().len() == 0
    }
}
