//! Changes of the map: by a service's reload, and by what the control thread has learned. Both take this way.

use std::rc::Rc;
use std::sync::Arc;

use crate::cluster::membership::detector::Evidence;
use crate::cluster::room::{ClusterShard, Entry};
use crate::config::ClusterMap;
use crate::core::ShardCore;
use crate::core::discovered::Discovered;
use crate::core::handle::Handle;
use crate::error::{Error, Text};
use crate::log::{Level, Origin};

impl ClusterShard {
    /// Merges a map into the node's. In effect when this returns, on this shard. Certificates are read again soon after.
    pub(crate) fn reload(&self, shard: &Rc<ShardCore>, changes: ClusterMap, source: Handle) {
        self.change(shard, changes, &[], source);
        let security = shard.node.settings.security.as_ref();
        if security.is_some_and(|security| security.tls().is_some()) {
            let node = Arc::clone(&shard.node);
            // When the queue is full, the watch of the files reads what has changed.
            let _ = shard
                .node
                .jobs
                .submit(Box::new(move || node.reload_certificates()));
        }
    }

    /// Applies what the control thread has learned. Runs on the first shard.
    pub(crate) fn apply_discovered(&self, shard: &Rc<ShardCore>, discovered: Discovered) {
        let Discovered { map, left, forgotten } = discovered;
        self.change(shard, map, &forgotten, Handle::NONE);
        for (node, cause) in left {
            if let Entry::At(address) = self.entry(&node) {
                self.apply_evidence(shard, &node, 0, &address, Evidence::Left(cause));
            }
        }
    }

    fn change(&self, shard: &Rc<ShardCore>, changes: ClusterMap, forgotten: &[Text], source: Handle) {
        for warning in changes.warnings() {
            shard
                .node
                .logger
                .write(Origin::Cluster, Level::Warning, source.0, warning);
        }
        let merged = self.shared.map.update(|map| {
            map.merge(changes);
            for node in forgotten {
                map.forget(node);
            }
            Ok::<(), Error>(())
        });
        debug_assert!(merged.is_ok());
        shard.run_on_all(|shard| shard.cluster().map_changed(shard));
    }
}
