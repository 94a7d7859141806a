//! Monitors and probes: nodes that are watched without calls to them.

use std::rc::Rc;

use crate::cluster::membership::monitor::Monitor;
use crate::cluster::room::{ClusterShard, Entry};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::error::{Error, Text};

impl ClusterShard {
    /// Watches a node; the monitor receives its events.
    pub(crate) fn monitor(&self, shard: &Rc<ShardCore>, node: Text) -> Result<Monitor, Error> {
        let present = self.states.events.borrow().get(&node).cloned();
        let monitor = self.states.monitors.add(shard, Text::clone(&node), present)?;
        self.watch(shard, node);
        Ok(monitor)
    }

    /// Watches a node; a service of this shard receives its events.
    pub(crate) fn subscribe(&self, shard: &Rc<ShardCore>, node: Text, service: Handle) -> Result<(), Error> {
        let present = self.states.events.borrow().get(&node).cloned();
        let monitors = &self.states.monitors;
        monitors.subscribe(shard, Text::clone(&node), service, present)?;
        self.watch(shard, node);
        Ok(())
    }

    /// Ends the subscription of a service to a node.
    pub(crate) fn unsubscribe(&self, node: &str, service: Handle) {
        self.states.monitors.unsubscribe(node, service);
    }

    /// Connects to a node and watches it until this node stops, whenever the map names it.
    pub(in crate::cluster) fn watch(&self, shard: &Rc<ShardCore>, node: Text) {
        shard.run_on(0, move |shard| {
            shard
                .cluster()
                .states
                .monitored
                .borrow_mut()
                .insert(Text::clone(&node));
            shard.cluster().probe(shard, &node);
        });
    }

    /// On the first shard: connects to the monitored nodes after a change of the map.
    pub(in crate::cluster) fn probe_monitored(&self, shard: &Rc<ShardCore>) {
        let monitored: Vec<Text> = self.states.monitored.borrow().iter().cloned().collect();
        for node in monitored {
            self.probe(shard, &node);
        }
    }

    /// On the first shard: keeps a node's first channel connected, with or without calls.
    pub(super) fn probe(&self, shard: &Rc<ShardCore>, node: &Text) {
        if self.watch_members(shard, node) {
            return;
        }
        let Entry::At(address) = self.entry(node) else {
            return;
        };
        let channel = self.channel_numbered(node, 1);
        let channel = channel.unwrap_or_else(|| self.open_channel(shard, node, 1, address));
        channel.probe();
    }
}
