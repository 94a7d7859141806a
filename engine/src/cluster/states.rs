//! What this shard knows of other nodes, and what follows from it: which calls fail at once, who probes, who is
//! told.
//!
//! The first shard's [`Detector`] decides and tells all shards, this one included. While a node is down its
//! channels take no calls, and the first channel alone goes on connecting; its first success lets all others
//! connect.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use skyring_codec::Millis;

use super::channel::Channel;
use super::detector::{Detector, Evidence, NodeChange, NodeEvent, NodeState};
use super::monitor::{Monitor, Monitors};
use super::pace::Pace;
use super::{ClusterShard, Entry};
use crate::config::NodeAddress;
use crate::control;
use crate::error::{Error, Text};
use crate::log::time_text;
use crate::service::handle::Handle;
use crate::shard::envelope::{Envelope, ReplyTo};
use crate::shard::{Shard, Timer};

/// Connects that one shard begins in a second, so that the end of a long break is no storm.
pub const CONNECTS_PER_SECOND_MAX: u32 = 500;

/// How many of them may begin at once.
pub const CONNECTS_AT_ONCE_MAX: u32 = 100;

/// One shard's knowledge of other nodes.
pub(crate) struct States {
    /// The last that was told of each node.
    known: RefCell<FxHashMap<Text, NodeEvent>>,
    /// Where each node was that something is known of.
    places: RefCell<FxHashMap<Text, NodeAddress>>,
    monitors: Monitors,
    /// When the next connect may begin.
    connects: Pace,
    // What follows is the first shard's alone.
    detector: RefCell<Detector>,
    /// When the detector's timer goes off.
    armed: Cell<Millis>,
    /// The nodes that are monitored: they are connected to although nobody calls them.
    kept: RefCell<FxHashSet<Text>>,
}

impl States {
    pub(super) fn new(down_after_ms: Millis) -> States {
        States {
            known: RefCell::default(),
            places: RefCell::default(),
            monitors: Monitors::default(),
            connects: Pace::new(CONNECTS_PER_SECOND_MAX, CONNECTS_AT_ONCE_MAX),
            detector: RefCell::new(Detector::new(down_after_ms)),
            armed: Cell::new(Millis::MAX),
            kept: RefCell::default(),
        }
    }
}

impl ClusterShard {
    // ---- what others ask ----

    /// What is known of a node.
    pub(crate) fn node_state(&self, node: &str) -> NodeState {
        let known = self.states.known.borrow();
        known
            .get(node)
            .map_or(NodeState::Unknown, |event| event.change.state())
    }

    /// Why a node is down; `None` when it is not.
    pub(super) fn down_cause(&self, node: &str) -> Option<Text> {
        let known = self.states.known.borrow();
        let event = known.get(node)?;
        (event.change == NodeChange::Down).then(|| Text::clone(&event.cause))
    }

    /// Has a node watched, and its events told to whoever holds the monitor.
    pub(crate) fn monitor(&self, shard: &Rc<Shard>, node: Text) -> Result<Monitor, Error> {
        let present = self.states.known.borrow().get(&node).cloned();
        let monitor = self.states.monitors.add(shard, Text::clone(&node), present)?;
        self.keep(shard, node);
        Ok(monitor)
    }

    /// Has a node watched, and its events sent to a service of this shard.
    pub(crate) fn subscribe(&self, shard: &Rc<Shard>, node: Text, service: Handle) -> Result<(), Error> {
        let present = self.states.known.borrow().get(&node).cloned();
        let monitors = &self.states.monitors;
        monitors.subscribe(shard, Text::clone(&node), service, present)?;
        self.keep(shard, node);
        Ok(())
    }

    /// Sends no further events of a node to a service.
    pub(crate) fn unsubscribe(&self, node: &str, service: Handle) {
        self.states.monitors.unsubscribe(node, service);
    }

    /// How long a channel waits before it may begin to connect, in milliseconds.
    pub(super) fn connect_turn(&self, now: Millis) -> Millis {
        self.states.connects.wait_for_turn(now)
    }

    // ---- evidence on its way to the first shard ----

    /// Takes what a channel of this shard has seen of its node.
    pub(super) fn report(&self, shard: &Rc<Shard>, channel: &Channel, evidence: Evidence) {
        if shard.stopping.get() {
            return;
        }
        let (node, number, address) = (Text::clone(&channel.node), channel.number, channel.address());
        on_first_shard(shard, move |shard| {
            shard.cluster.judge(shard, &node, number, &address, evidence);
        });
    }

    fn judge(&self, shard: &Rc<Shard>, node: &Text, channel: u32, address: &NodeAddress, evidence: Evidence) {
        if self.map.has_news() {
            self.map_changed(shard);
        }
        // It may speak of a place where the node is not any more.
        if !matches!(self.entry(node), Entry::At(current) if current == *address) {
            return;
        }
        self.remember_place(node);
        let now = shard.now();
        let judged = self
            .states
            .detector
            .borrow_mut()
            .note(now, node, channel, evidence);
        if let Some((change, cause)) = judged {
            self.announce(shard, node, change, cause);
        }
        self.arm_detector(shard);
    }

    fn arm_detector(&self, shard: &Shard) {
        let next = self.states.detector.borrow().next_deadline();
        if let Some(next) = next
            && next < self.states.armed.get()
        {
            self.states.armed.set(next);
            shard.set_timer(next, Timer::Detector);
        }
    }

    /// On the first shard: the patience with some node may be at its end.
    pub(crate) fn detector_deadline(&self, shard: &Rc<Shard>) {
        self.states.armed.set(Millis::MAX);
        loop {
            let over = self.states.detector.borrow_mut().poll(shard.now());
            let Some((node, seen)) = over else { break };
            let cause = shard.node.failure(&node).or(seen);
            let cause = cause.unwrap_or_else(|| "no answer".into());
            self.announce(shard, &node, NodeChange::Down, cause);
        }
        self.arm_detector(shard);
    }

    /// On the first shard: logs a change, counts it, and tells it to all shards.
    fn announce(&self, shard: &Rc<Shard>, node: &Text, change: NodeChange, cause: Text) {
        let event = NodeEvent::now(node, change, cause);
        let metrics = &shard.node.metrics;
        match change {
            NodeChange::Suspect => metrics.nodes_suspected.add(1),
            NodeChange::Down => metrics.nodes_down.add(1),
            NodeChange::Restarted => metrics.nodes_restarted.add(1),
            NodeChange::Up | NodeChange::Forgotten | NodeChange::Switched => {}
        }
        log(shard, &event);
        control::on_every_shard(shard, move |shard| shard.cluster.node_changed(shard, &event));
    }

    // ---- what follows ----

    /// Takes what the first shard has told.
    fn node_changed(&self, shard: &Rc<Shard>, event: &NodeEvent) {
        let node = &event.node;
        let known = match event.change {
            NodeChange::Forgotten => self.states.known.borrow_mut().remove(node),
            _ => {
                self.remember_place(node);
                let mut known = self.states.known.borrow_mut();
                known.insert(Text::clone(node), event.clone())
            }
        };
        let was_down = known.is_some_and(|event| event.change == NodeChange::Down);
        match event.change {
            NodeChange::Down => {
                for channel in self.channels_of(node) {
                    channel.close_gate(shard, &event.cause);
                }
                self.refuse_parked(shard, node, &event.cause);
            }
            NodeChange::Up | NodeChange::Restarted | NodeChange::Forgotten if was_down => {
                for channel in self.channels_of(node) {
                    channel.open_gate();
                }
            }
            NodeChange::Up
            | NodeChange::Restarted
            | NodeChange::Suspect
            | NodeChange::Forgotten
            | NodeChange::Switched => {}
        }
        if shard.index == 0 && matches!(event.change, NodeChange::Suspect | NodeChange::Down) {
            self.probe(shard, node);
        }
        self.member_changed(shard, node);
        self.tell(shard, event);
    }

    /// Tells an event to whoever of this shard wants to hear it.
    pub(super) fn tell(&self, shard: &Rc<Shard>, event: &NodeEvent) {
        self.states.monitors.tell(shard, event);
    }

    /// Fails a call whose node is down.
    pub(super) fn refuse_down(&self, shard: &Rc<Shard>, node: &Text, cause: &Text, reply_to: ReplyTo) {
        shard.node.metrics.calls_refused_down.add(1);
        let error = Error::Unreachable {
            node: Text::clone(node),
            cause: Text::clone(cause),
        };
        shard.refuse(reply_to, error);
    }

    /// Forgets the nodes that the map has turned off or has another place for: nothing that was known of them holds
    /// any more. Each shard forgets at once, and once more when the first shard says so, behind what that had said
    /// before.
    pub(super) fn forget_moved(&self, shard: &Rc<Shard>) {
        let moved: Vec<Text> = {
            let mut places = self.states.places.borrow_mut();
            let is_moved = |node: &Text, place: &mut NodeAddress| !matches!(self.entry(node), Entry::At(address) if address == *place);
            places
                .extract_if(|node, place| is_moved(node, place))
                .map(|(node, _)| node)
                .collect()
        };
        for node in moved {
            self.states.known.borrow_mut().remove(&node);
            for channel in self.channels_of(&node) {
                channel.open_gate();
            }
            if shard.index == 0 && self.states.detector.borrow_mut().forget(&node) {
                let cause = match self.entry(&node) {
                    Entry::At(address) => format!("it has moved to {address}"),
                    Entry::Disabled | Entry::Absent { .. } => "the map has turned it off".to_owned(),
                };
                self.announce(shard, &node, NodeChange::Forgotten, cause.into());
            }
        }
    }

    /// Remembers the place that what is known of a node is about.
    fn remember_place(&self, node: &Text) {
        if let Entry::At(address) = self.entry(node) {
            self.states.places.borrow_mut().insert(Text::clone(node), address);
        }
    }

    // ---- probes ----

    /// Has a node connected to and watched for good, as far as the map names it.
    pub(super) fn keep(&self, shard: &Rc<Shard>, node: Text) {
        on_first_shard(shard, move |shard| {
            shard.cluster.states.kept.borrow_mut().insert(Arc::clone(&node));
            shard.cluster.probe(shard, &node);
        });
    }

    /// On the first shard: connects to the monitored nodes that a changed map has brought.
    pub(super) fn probe_kept(&self, shard: &Rc<Shard>) {
        let kept: Vec<Text> = self.states.kept.borrow().iter().cloned().collect();
        for node in kept {
            self.probe(shard, &node);
        }
    }

    /// On the first shard: has a node's first channel connect, and connect again, whether there are calls or
    /// not.
    fn probe(&self, shard: &Rc<Shard>, node: &Text) {
        if self.keep_members(shard, node) {
            return;
        }
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        let channel = {
            let peers = self.peers.borrow();
            peers.get(node).and_then(|peer| peer.channel(1).cloned())
        };
        let channel = channel.unwrap_or_else(|| self.open_channel(shard, node, 1, address));
        channel.probe();
    }
}

/// Runs `work` on the first shard: now, or when its turn comes.
fn on_first_shard(shard: &Rc<Shard>, work: impl FnOnce(&Rc<Shard>) + Send + 'static) {
    if shard.index == 0 {
        work(shard);
    } else {
        // Errands are never refused; see `stage`.
        let _ = shard.stage(0, Envelope::Errand(Box::new(work)));
    }
}

/// One line for one change: the node, the cause and the time.
fn log(shard: &Shard, event: &NodeEvent) {
    let verb = match event.change {
        NodeChange::Restarted => "was",
        _ => "is",
    };
    let (node, change, cause) = (&event.node, event.change.name(), &event.cause);
    let time = time_text(event.time_ms());
    shard.log(
        Handle::NONE,
        format!("cluster node {node} {verb} {change}: {cause}, at {time}"),
    );
}
