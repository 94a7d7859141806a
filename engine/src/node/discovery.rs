//! The sources of the cluster map, as tasks of the control thread.

use std::io;

use crate::config::{ClusterMap, Discovery};
use crate::control::{ControlThread, Outlet, Task, file_watch};
use crate::shard::Parts;
use std::sync::Arc;

/// Starts the control thread if the node has a source of its map. `map` is what the map file said.
pub(super) fn start(
    parts: &Parts,
    discovery: &Discovery,
    map: ClusterMap,
) -> io::Result<Option<ControlThread>> {
    let mut tasks = Vec::new();
    if let (true, Some(file)) = (discovery.watch, parts.node.settings.map_file.clone()) {
        tasks.push(Task::new("the watch of the map file", move |outlet, stop| {
            file_watch::watch(outlet, stop, file, map)
        }));
    }
    if tasks.is_empty() {
        return Ok(None);
    }
    let outlet = Outlet::new(Arc::clone(&parts.node), |shard, discovered| {
        shard.cluster().apply_discovered(shard, discovered);
    });
    ControlThread::start(outlet, tasks).map(Some)
}
