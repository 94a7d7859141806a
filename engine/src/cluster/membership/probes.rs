//! Nodes that are watched although nobody calls them, and who watches.

use std::rc::Rc;

use crate::cluster::membership::monitor::Monitor;
use crate::cluster::room::{ClusterShard, Entry};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::error::{Error, Text};

impl ClusterShard {
    /// Has a node watched, and its events told to whoever holds the monitor.
    pub(crate) fn monitor(&self, shard: &Rc<ShardCore>, node: Text) -> Result<Monitor, Error> {
        let present = self.states.known.borrow().get(&node).cloned();
        let monitor = self.states.monitors.add(shard, Text::clone(&node), present)?;
        self.keep(shard, node);
        Ok(monitor)
    }

    /// Has a node watched, and its events sent to a service of this shard.
    pub(crate) fn subscribe(&self, shard: &Rc<ShardCore>, node: Text, service: Handle) -> Result<(), Error> {
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

    /// Has a node connected to and watched for good, as far as the map names it.
    pub(in crate::cluster) fn keep(&self, shard: &Rc<ShardCore>, node: Text) {
        shard.run_on(0, move |shard| {
            shard
                .cluster()
                .states
                .kept
                .borrow_mut()
                .insert(Text::clone(&node));
            shard.cluster().probe(shard, &node);
        });
    }

    /// On the first shard: connects to the monitored nodes that a changed map has brought.
    pub(in crate::cluster) fn probe_kept(&self, shard: &Rc<ShardCore>) {
        let kept: Vec<Text> = self.states.kept.borrow().iter().cloned().collect();
        for node in kept {
            self.probe(shard, &node);
        }
    }

    /// On the first shard: has a node's first channel connect, and connect again, whether there are calls or
    /// not.
    pub(super) fn probe(&self, shard: &Rc<ShardCore>, node: &Text) {
        if self.keep_members(shard, node) {
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
