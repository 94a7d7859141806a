//! From evidence to state: channels report what they observe, the first shard's detector decides, and every shard
//! applies the change.
//!
//! The first shard's [`Detector`](super::detector::Detector) sends each change to all shards, this one included.
//! While a node is down its channels refuse calls, and only the first channel keeps connecting; its first success
//! lets all others connect.

use std::rc::Rc;

use crate::cluster::dialling::channel::Channel;
use crate::cluster::membership::detector::{Evidence, NodeChange, NodeEvent, NodeState};
use crate::cluster::membership::map::HAS_LEFT;
use crate::cluster::room::{ClusterShard, Entry};
use crate::config::NodeAddress;
use crate::core::ShardCore;
use crate::core::request::ReplyTo;
use crate::core::timers::Timer;
use crate::error::{Error, Text};
use crate::log::{Level, time_text};
use skyring_codec::Millis;

impl ClusterShard {
    /// The state of a node.
    pub(crate) fn node_state(&self, node: &str) -> NodeState {
        self.states.state(node)
    }

    /// Why a node is down; `None` when it is not.
    pub(in crate::cluster) fn down_cause(&self, node: &str) -> Option<Text> {
        self.states.down_cause(node)
    }

    /// Reports evidence of a channel of this shard to the first shard.
    pub(in crate::cluster) fn report(&self, shard: &Rc<ShardCore>, channel: &Channel, evidence: Evidence) {
        if shard.stopping.get() {
            return;
        }
        let (node, number, address) = (Text::clone(&channel.node), channel.number, channel.address());
        shard.run_on(0, move |shard| {
            shard
                .cluster()
                .apply_evidence(shard, &node, number, &address, evidence);
        });
    }

    pub(super) fn apply_evidence(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
        channel: u32,
        address: &NodeAddress,
        evidence: Evidence,
    ) {
        self.refresh_map(shard);
        // The evidence may be about an old address.
        if !self.is_at(node, address) {
            return;
        }
        self.record_address(node);
        let now = shard.now();
        let change = self
            .states
            .detector
            .borrow_mut()
            .apply(now, node, channel, evidence);
        if let Some((change, cause)) = change {
            self.publish(shard, node, change, cause);
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

    /// On the first shard: marks the nodes down whose time has elapsed.
    pub(crate) fn detector_deadline(&self, shard: &Rc<ShardCore>) {
        self.states.armed.set(Millis::MAX);
        loop {
            let over = self.states.detector.borrow_mut().poll(shard.now());
            let Some((node, last_cause)) = over else { break };
            let cause = self.shared.failure(&node).or(last_cause);
            let cause = cause.unwrap_or_else(|| "no answer".into());
            self.publish(shard, &node, NodeChange::Down, cause);
        }
        self.arm_detector(shard);
    }

    /// On the first shard: logs and counts a change, and sends it to all shards.
    fn publish(&self, shard: &Rc<ShardCore>, node: &Text, change: NodeChange, cause: Text) {
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

    // ---- the effects of a change ----

    /// Applies a change from the first shard.
    fn node_changed(&self, shard: &Rc<ShardCore>, event: &NodeEvent) {
        let node = &event.node;
        let before = match event.change {
            NodeChange::Forgotten => self.states.events.borrow_mut().remove(node),
            _ => {
                self.record_address(node);
                let mut events = self.states.events.borrow_mut();
                events.insert(Text::clone(node), event.clone())
            }
        };
        let was_down = before.is_some_and(|event| event.change == NodeChange::Down);
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

    /// Sends an event to the monitors of this shard.
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
        shard.refuse(reply_to, Error::down(Text::clone(node), cause));
    }

    /// Forgets the state of nodes that the map has disabled or moved. Each shard forgets at once, and once more when
    /// the first shard says so, after the changes that the first shard had sent before.
    pub(in crate::cluster) fn forget_moved(&self, shard: &Rc<ShardCore>) {
        let moved: Vec<Text> = {
            let mut addresses = self.states.addresses.borrow_mut();
            let is_moved = |node: &Text, before: &NodeAddress| match self.entry(node) {
                Entry::At(address) => address != *before,
                Entry::Disabled | Entry::Absent { .. } => true,
            };
            addresses
                .extract_if(|node, address| is_moved(node, address))
                .map(|(node, _)| node)
                .collect()
        };
        for node in moved {
            self.states.events.borrow_mut().remove(&node);
            for channel in self.channels_of(&node) {
                channel.mark_up();
            }
            if shard.index == 0 && self.states.detector.borrow_mut().forget(&node) {
                let cause = match self.entry(&node) {
                    Entry::At(address) => format!("it has moved to {address}"),
                    Entry::Disabled => "the map has turned it off".to_owned(),
                    Entry::Absent { .. } => HAS_LEFT.to_owned(),
                };
                self.publish(shard, &node, NodeChange::Forgotten, cause.into());
            }
        }
    }

    /// Records the address that the state of a node is about.
    fn record_address(&self, node: &Text) {
        if let Entry::At(address) = self.entry(node) {
            self.states
                .addresses
                .borrow_mut()
                .insert(Text::clone(node), address);
        }
    }
}

/// Logs a change in one line: the node, the cause and the time.
fn log(shard: &ShardCore, event: &NodeEvent) {
    let verb = match event.change {
        NodeChange::Restarted => "was",
        _ => "is",
    };
    let (node, change, cause) = (&event.node, event.change.name(), &event.cause);
    let time = time_text(event.time_ms());
    let level = match event.change {
        NodeChange::Suspect | NodeChange::Down | NodeChange::Restarted => Level::Warning,
        NodeChange::Up | NodeChange::Forgotten | NodeChange::Switched => Level::Info,
    };
    shard.log_cluster(
        level,
        format!("cluster node {node} {verb} {change}: {cause}, at {time}"),
    );
}
