//! What channels see of their nodes, what the first shard makes of it, and what follows on every shard.
//!
//! The first shard's [`Detector`](super::detector::Detector) decides and tells all shards, this one included. While a
//! node is down its channels take no calls, and the first channel alone goes on connecting; its first success lets all
//! others connect.

use std::rc::Rc;

use crate::cluster::dialling::channel::Channel;
use crate::cluster::membership::detector::{Evidence, NodeChange, NodeEvent, NodeState};
use crate::cluster::room::{ClusterShard, Entry};
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::request::ReplyTo;
use crate::core::timers::Timer;
use crate::error::{Error, Text};
use crate::log::time_text;
use skyring_codec::Millis;

impl ClusterShard {
    /// What is known of a node.
    pub(crate) fn node_state(&self, node: &str) -> NodeState {
        self.states.state(node)
    }

    /// Why a node is down; `None` when it is not.
    pub(in crate::cluster) fn down_cause(&self, node: &str) -> Option<Text> {
        self.states.down_cause(node)
    }

    /// Takes what a channel of this shard has seen of its node.
    pub(in crate::cluster) fn report(&self, shard: &Rc<ShardCore>, channel: &Channel, evidence: Evidence) {
        if shard.stopping.get() {
            return;
        }
        let (node, number, address) = (Text::clone(&channel.node), channel.number, channel.address());
        shard.run_on(0, move |shard| {
            shard.cluster().judge(shard, &node, number, &address, evidence);
        });
    }

    fn judge(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
        channel: u32,
        address: &NodeAddress,
        evidence: Evidence,
    ) {
        if self.map.is_stale() {
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

    fn arm_detector(&self, shard: &ShardCore) {
        let next = self.states.detector.borrow().next_deadline();
        if let Some(next) = next
            && next < self.states.armed.get()
        {
            self.states.armed.set(next);
            shard.set_timer(next, Timer::Detector);
        }
    }

    /// On the first shard: the patience with some node may be at its end.
    pub(crate) fn detector_deadline(&self, shard: &Rc<ShardCore>) {
        self.states.armed.set(Millis::MAX);
        loop {
            let over = self.states.detector.borrow_mut().poll(shard.now());
            let Some((node, seen)) = over else { break };
            let cause = self.shared.failure(&node).or(seen);
            let cause = cause.unwrap_or_else(|| "no answer".into());
            self.announce(shard, &node, NodeChange::Down, cause);
        }
        self.arm_detector(shard);
    }

    /// On the first shard: logs a change, counts it, and tells it to all shards.
    fn announce(&self, shard: &Rc<ShardCore>, node: &Text, change: NodeChange, cause: Text) {
        let event = NodeEvent::now(node, change, cause);
        let metrics = &shard.node.metrics;
        match change {
            NodeChange::Suspect => metrics.nodes_suspected.add(1),
            NodeChange::Down => metrics.nodes_down.add(1),
            NodeChange::Restarted => metrics.nodes_restarted.add(1),
            NodeChange::Up | NodeChange::Forgotten | NodeChange::Switched => {}
        }
        log(shard, &event);
        shard.run_on_all(move |shard| shard.cluster().node_changed(shard, &event));
    }

    // ---- what follows ----

    /// Takes what the first shard has told.
    fn node_changed(&self, shard: &Rc<ShardCore>, event: &NodeEvent) {
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
                    channel.mark_down(shard, &event.cause);
                }
                self.refuse_pending(shard, node, &event.cause);
            }
            NodeChange::Up | NodeChange::Restarted | NodeChange::Forgotten if was_down => {
                for channel in self.channels_of(node) {
                    channel.mark_up();
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
        self.notify_monitors(shard, event);
    }

    /// Tells an event to whoever of this shard wants to hear it.
    pub(in crate::cluster) fn notify_monitors(&self, shard: &Rc<ShardCore>, event: &NodeEvent) {
        self.states.monitors.notify(shard, event);
    }

    /// Fails a call whose node is down.
    pub(in crate::cluster) fn refuse_down(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
        cause: &Text,
        reply_to: ReplyTo,
    ) {
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
    pub(in crate::cluster) fn forget_moved(&self, shard: &Rc<ShardCore>) {
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
                channel.mark_up();
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
}

/// One line for one change: the node, the cause and the time.
fn log(shard: &ShardCore, event: &NodeEvent) {
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
