//! What etcd or DNS says about the nodes of a cluster, and what that changes: a state machine without I/O.
//!
//! Keys, events and the time go in; changes of the map, lines for the log and the next deadline come out. Rules:
//!
//! - A key that is deleted, as it is when a lease runs out, means that its node has *left*: it is down unless it shows
//!   signs of life. It stays in the map for the grace time, and is then forgotten.
//! - A key that is missing when the store is read again may only not be back yet (etcd was restarted, or has lost its
//!   data), so its node has left only after the time of a lease.
//! - While the source is lost nothing is put in and no deadline is looked at, so the map stays as it is.
//! - A key or value that belongs to no node is reported once and has no effect: a node's last right value holds.
//!
//! Invariants: each change is told once; the number of nodes and of reports is bounded.

use std::collections::{BTreeMap, BTreeSet};

use skyring_codec::Millis;

use crate::config::ClusterMap;
use crate::control::entry::{Entry, node_name, quoted};
use crate::core::discovered::Discovered;

/// Most nodes that are taken from one source.
pub(crate) const DISCOVERED_NODES_MAX: usize = 10_000;

/// Names that one line of the log lists.
const NAMES_LISTED_MAX: usize = 8;

/// Most keys that are reported as no node's.
const REPORTS_MAX: usize = 16;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The revision of its last change.
    pub(crate) mod_revision: i64,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Put(KeyValue),
    Deleted(Vec<u8>),
}

/// What follows from what was put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) discovered: Discovered,
    /// Lines for the log.
    pub(crate) notes: Vec<String>,
    /// What happened to the node's own key, if it is in what was put in: its entry, or `None` when it is gone.
    pub(crate) own: Option<Option<Entry>>,
}

impl Update {
    /// What the log says about it.
    pub(crate) fn line(&self, source: &str) -> Option<String> {
        let changed = listed(self.discovered.map.nodes.keys().map(String::as_str));
        let left = listed(self.discovered.left.iter().map(|(node, _)| &**node));
        match (changed.as_str(), left.as_str()) {
            ("", "") => None,
            (changed, "") => Some(format!("{source} has the nodes {changed}")),
            ("", left) => Some(format!("{source} has no more {left}")),
            (changed, left) => Some(format!("{source} has the nodes {changed}, and no more {left}")),
        }
    }

    /// Whether there is anything for the map.
    pub(crate) fn changes_map(&self) -> bool {
        self.discovered != Discovered::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// The key is there.
    Here,
    /// It was missing when the store was read again; the node has left at this time.
    Missing(Millis),
    /// The node has left, and is forgotten at this time.
    Left(Millis),
}

#[derive(Debug)]
struct Node {
    entry: Entry,
    presence: Presence,
}

/// The nodes under one prefix.
#[derive(Debug)]
pub(crate) struct Registry {
    /// What the log calls the source.
    source: &'static str,
    prefix: String,
    /// The name of the node itself, whose key is not taken for the map.
    own: Option<String>,
    lease_ms: Millis,
    grace_ms: Millis,
    nodes: BTreeMap<String, Node>,
    /// The keys that were reported as no node's.
    reported: BTreeSet<Vec<u8>>,
    is_full: bool,
}

impl Registry {
    pub(crate) fn new(
        source: &'static str,
        prefix: &str,
        own: Option<&str>,
        lease_ms: Millis,
        grace_ms: Millis,
    ) -> Registry {
        Registry {
            source,
            prefix: prefix.to_owned(),
            own: own.map(str::to_owned),
            lease_ms,
            grace_ms,
            nodes: BTreeMap::new(),
            reported: BTreeSet::new(),
            is_full: false,
        }
    }

    /// Takes all keys of the prefix, as they are at one revision.
    pub(crate) fn read(&mut self, now: Millis, keys: Vec<KeyValue>) -> Update {
        let mut update = Update::default();
        let mut names = BTreeSet::new();
        if self.own.is_some() {
            update.own = Some(None);
        }
        for key in keys {
            if let Some(name) = self.put(&key, &mut update) {
                names.insert(name);
            }
        }
        self.miss(now, &names);
        update
    }

    /// Takes all nodes that there are, each with its entry.
    pub(crate) fn read_nodes(&mut self, now: Millis, nodes: &BTreeMap<String, Entry>) -> Update {
        let mut update = Update::default();
        for (name, entry) in nodes {
            self.join(name, entry.clone(), &mut update);
        }
        self.miss(now, &nodes.keys().cloned().collect());
        update
    }

    /// Notes which nodes are missing where all were read.
    fn miss(&mut self, now: Millis, names: &BTreeSet<String>) {
        for (name, node) in &mut self.nodes {
            if node.presence == Presence::Here && !names.contains(name) {
                node.presence = Presence::Missing(now + self.lease_ms);
            }
        }
    }

    /// Takes the changes of one revision or more, in their order.
    pub(crate) fn apply(&mut self, now: Millis, events: Vec<Event>) -> Update {
        let mut update = Update::default();
        for event in events {
            match event {
                Event::Put(key) => {
                    self.put(&key, &mut update);
                }
                Event::Deleted(key) => self.delete(now, &key, &mut update),
            }
        }
        update
    }

    /// Takes a key, and returns its node's name.
    fn put(&mut self, key: &KeyValue, update: &mut Update) -> Option<String> {
        let name = match node_name(&self.prefix, &key.key) {
            Ok(name) => name,
            Err(cause) => {
                self.report(&key.key, &cause, update);
                return None;
            }
        };
        let entry = Entry::parse(&key.value);
        if self.own.as_deref() == Some(name) {
            update.own = Some(Some(entry.unwrap_or(Entry::Disabled)));
            return None;
        }
        match entry {
            Ok(entry) => self.join(name, entry, update),
            Err(cause) => self.report(&key.key, &cause, update),
        }
        Some(name.to_owned())
    }

    fn join(&mut self, name: &str, entry: Entry, update: &mut Update) {
        if let Some(node) = self.nodes.get_mut(name) {
            let is_same = node.entry == entry;
            let was_here = !matches!(node.presence, Presence::Left(_));
            node.presence = Presence::Here;
            if is_same && was_here {
                return;
            }
            node.entry = entry.clone();
        } else {
            if self.nodes.len() >= DISCOVERED_NODES_MAX {
                if !self.is_full {
                    self.is_full = true;
                    update.notes.push(format!(
                        "{} has more than {DISCOVERED_NODES_MAX} nodes: {} and others are left out",
                        self.source,
                        quoted(name.as_bytes())
                    ));
                }
                return;
            }
            let presence = Presence::Here;
            self.nodes.insert(
                name.to_owned(),
                Node {
                    entry: entry.clone(),
                    presence,
                },
            );
        }
        add(&mut update.discovered.map, name, &entry);
        update.discovered.left.retain(|(left, _)| **left != *name);
    }

    fn delete(&mut self, now: Millis, key: &[u8], update: &mut Update) {
        self.reported.remove(key);
        let Ok(name) = node_name(&self.prefix, key) else {
            return;
        };
        if self.own.as_deref() == Some(name) {
            update.own = Some(None);
        }
        if let Some(node) = self.nodes.get_mut(name)
            && !matches!(node.presence, Presence::Left(_))
        {
            leave(self.source, name, node, now + self.grace_ms, update);
        }
    }

    /// Reports a key that has no effect, once.
    fn report(&mut self, key: &[u8], cause: &str, update: &mut Update) {
        if self.reported.contains(key) || self.reported.len() >= REPORTS_MAX {
            return;
        }
        self.reported.insert(key.to_vec());
        update.notes.push(format!(
            "{}: the key {} has no effect: {cause}",
            self.source,
            quoted(key)
        ));
    }

    /// What the time changes. Not to be called while etcd is lost.
    pub(crate) fn poll(&mut self, now: Millis) -> Update {
        let mut update = Update::default();
        for (name, node) in &mut self.nodes {
            if matches!(node.presence, Presence::Missing(at) if at <= now) {
                leave(self.source, name, node, now + self.grace_ms, &mut update);
            }
        }
        self.nodes.retain(|name, node| {
            let is_over = matches!(node.presence, Presence::Left(at) if at <= now);
            if is_over {
                update.notes.push(format!(
                    "{}: {name} was not back in time, and is taken out of the cluster map",
                    self.source
                ));
                update.discovered.forgotten.push(name.as_str().into());
            }
            !is_over
        });
        update
    }

    /// The names of the nodes that are not forgotten.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// When to poll next.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let deadlines = self.nodes.values().filter_map(|node| match node.presence {
            Presence::Here => None,
            Presence::Missing(at) | Presence::Left(at) => Some(at),
        });
        deadlines.min()
    }
}

fn leave(source: &str, name: &str, node: &mut Node, forgotten_at: Millis, update: &mut Update) {
    node.presence = Presence::Left(forgotten_at);
    // In one batch of events it may have come and gone.
    if update.discovered.left.iter().all(|(left, _)| **left != *name) {
        let cause = format!("its entry in {source} is gone").into();
        update.discovered.left.push((name.into(), cause));
    }
}

/// Adds a node to a map. What cannot be is left out by [`Entry::parse`] and [`node_name`].
fn add(map: &mut ClusterMap, name: &str, entry: &Entry) {
    let changed = match entry {
        Entry::Disabled => Ok(std::mem::take(map).disable(name)),
        Entry::Node(value) => std::mem::take(map).with(name, &value.address),
    };
    let Ok(changed) = changed else { return };
    *map = changed;
    if let Entry::Node(value) = entry {
        if let Some(channels) = value.channels {
            map.channels_by_node.insert(name.to_owned(), channels);
        }
        if let Some(zone) = &value.zone {
            map.zones.insert(name.to_owned(), zone.clone());
        }
    }
}

/// Names as a list, cut where it is long.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut list = names.take(NAMES_LISTED_MAX).collect::<Vec<_>>().join(", ");
    if count > NAMES_LISTED_MAX {
        list.push_str(&format!(" and {} more", count - NAMES_LISTED_MAX));
    }
    list
}
