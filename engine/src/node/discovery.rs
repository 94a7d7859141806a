//! The sources of the cluster map, as tasks of the control thread, and the part of a node's start that waits for them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::config::{ClusterMap, Discovery, Etcd, GRACE_S_DEFAULT, NodeEntry};
use crate::control::entry::NodeValue;
use crate::control::{ControlThread, Outlet, Task, certificate_watch, dns, etcd, file_watch};
use crate::shard::Parts;

/// How long a start waits for etcd: for the first map and for the node's own entry together. Then the node starts
/// without, and both follow when etcd answers.
const START_TIME_MAX: Duration = Duration::from_secs(3);

/// The sources that a node has started.
pub(super) struct Finding {
    pub(super) control: Option<ControlThread>,
    first_map: Option<Receiver<()>>,
    publication: Option<PublicationWait>,
    started: Instant,
}

/// The node's own side of its publication.
struct PublicationWait {
    /// Set to true when the node can be called.
    open: watch::Sender<bool>,
    outcome: Receiver<Result<(), String>>,
}

/// The map with which a node starts: the file's, with its own address and zone where `discovery` has them.
pub(super) fn own_map(map: &ClusterMap, discovery: &Discovery, name: &str) -> ClusterMap {
    let mut map = map.clone();
    let listen = || discovery.listen.clone().filter(|_| !map.nodes.contains_key(name));
    let address = discovery.advertised(name, &map).or_else(listen);
    if let (Some(address), false) = (address, name.is_empty()) {
        map.nodes.insert(name.to_owned(), NodeEntry::Address(address));
    }
    let zone = discovery.etcd.as_ref().and_then(|etcd| etcd.zone.clone());
    if let Some(zone) = zone {
        map.zones.insert(name.to_owned(), zone);
    }
    map
}

/// Starts the control thread if the node has a source of its map, certificates, or tasks that run until it has stopped, `last`.
/// `map` is what the map file said.
pub(super) fn start(
    parts: &Parts,
    discovery: Discovery,
    map: ClusterMap,
    last: Vec<Task>,
) -> io::Result<Finding> {
    let mut finding = Finding {
        control: None,
        first_map: None,
        publication: None,
        started: Instant::now(),
    };
    let mut tasks = Vec::new();
    let published = published(parts, &discovery, &map);
    let grace_s = discovery.grace_s.unwrap_or(GRACE_S_DEFAULT);
    if let (true, Some(file)) = (discovery.watch, parts.node.settings.map_file.clone()) {
        tasks.push(Task::new("the watch of the map file", move |outlet, stop| {
            file_watch::watch(outlet, stop, file, map)
        }));
    }
    let security = parts.node.settings.security.as_ref();
    if let Some(tls) = security.and_then(|security| security.tls().cloned()) {
        tasks.push(Task::new("the watch of the certificates", move |outlet, stop| {
            certificate_watch::watch(outlet, stop, tls)
        }));
    }
    if let Some(source) = discovery.etcd {
        tasks.push(finding.etcd_task(source, grace_s, published));
    }
    if let Some(source) = discovery.dns {
        tasks.push(Task::new("discovery by DNS", move |outlet, stop| {
            dns::run(outlet, stop, source, grace_s)
        }));
    }
    if tasks.is_empty() && last.is_empty() {
        return Ok(finding);
    }
    let outlet = Outlet::new(Arc::clone(&parts.node), |shard, discovered| {
        shard.cluster().apply_discovered(shard, discovered);
    });
    finding.control = Some(ControlThread::start(outlet, tasks, last)?);
    Ok(finding)
}

/// The node's name and the value that it publishes, if it has an address.
fn published(parts: &Parts, discovery: &Discovery, map: &ClusterMap) -> Option<(String, NodeValue)> {
    let settings = &parts.node.settings;
    if settings.name.is_empty() {
        return None;
    }
    let address = discovery.advertised(&settings.name, map)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let value = NodeValue {
        address: address.to_string(),
        channels: map.channels(&settings.name).or(settings.channels),
        zone: discovery.etcd.as_ref().and_then(|etcd| etcd.zone.clone()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        process: Some(format!("{:016x}", parts.node.epoch)),
        started_ms: since_1970.and_then(|time| u64::try_from(time.as_millis()).ok()),
    };
    Some((settings.name.clone(), value))
}

impl Finding {
    fn etcd_task(&mut self, source: Etcd, grace_s: u32, published: Option<(String, NodeValue)>) -> Task {
        let (first_read, first_map) = sync_channel(1);
        self.first_map = Some(first_map);
        let publication = published.map(|(name, value)| {
            let (open, is_open) = watch::channel(false);
            let (outcome, told) = sync_channel(1);
            self.publication = Some(PublicationWait { open, outcome: told });
            etcd::Publication {
                name,
                value,
                is_open,
                outcome,
            }
        });
        Task::new("discovery by etcd", move |outlet, stop| {
            etcd::run(outlet, stop, source, grace_s, publication, first_read)
        })
    }

    /// Waits for the first map of etcd, so that the node's services find the others when they start.
    pub(super) fn wait_for_first_map(&mut self) {
        if let Some(first_map) = self.first_map.take() {
            // Without it the map follows later.
            let _ = first_map.recv_timeout(START_TIME_MAX);
        }
    }

    /// Has the node published, now that it can be called. The error is why it cannot be.
    pub(super) fn publish(&mut self) -> Result<(), String> {
        let Some(PublicationWait { open, outcome }) = self.publication.take() else {
            return Ok(());
        };
        open.send_replace(true);
        let left = START_TIME_MAX.saturating_sub(self.started.elapsed());
        // Without an answer the entry follows later.
        outcome.recv_timeout(left).unwrap_or(Ok(()))
    }
}
