//! The status of a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChannelStatus, InboundStatus, Measure, ServiceStatus, ShardStatus};

/// The document of `/api/status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// The version of Skyring.
    pub version: String,
    /// The node's name in the cluster map; empty when it has none.
    pub node: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// What runs its shards, by the name that the config has for it.
    pub runtime: String,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    /// How long it has run, in milliseconds, by a clock that nobody sets.
    pub uptime_ms: u64,
    /// It listens, and its first services have started; false again when it stops.
    pub is_ready: bool,
    /// It stops.
    pub is_stopping: bool,
    /// Why it has failed, if it has.
    pub failure: Option<String>,
    /// A flame graph can be taken.
    pub has_profiler: bool,
    /// Its process.
    pub process: ProcessStatus,
    /// Its shards, by number.
    pub shards: Vec<ShardStatus>,
    /// Where it listens for other nodes.
    pub listeners: Vec<ListenerStatus>,
    /// The connections that other nodes have opened, by shard.
    pub inbound: Vec<InboundStatus>,
    /// The nodes of the cluster map and their states, by name, itself included.
    pub peers: Vec<PeerStatus>,
    /// Nodes of the map that are not in `peers`, because there are too many.
    pub peers_omitted: u64,
    /// The groups of the cluster map.
    pub groups: Vec<GroupStatus>,
    /// The channels to other nodes, by node and number.
    pub channels: Vec<ChannelStatus>,
    /// Channels that are not in `channels`, because there are too many.
    pub channels_omitted: u64,
    /// How many services run.
    pub services_total: u64,
    /// The services that took the most time since the document was made last, or since their start, and those with the most
    /// memory.
    pub services: Vec<ServiceStatus>,
    /// All services, those that have ended included, added up by label.
    pub service_sums: Vec<ServiceStatus>,
    /// What services report of themselves, such as the clients of a gate.
    pub measures: Vec<Measure>,
    /// The [counters](crate::Metrics) of the node.
    pub counters: BTreeMap<String, u64>,
    /// Lines that the log has lost.
    pub log_lines_dropped: u64,
}

/// The process of a node, as the kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessStatus {
    /// Its id.
    pub id: u32,
    /// What of it is in memory, in bytes.
    pub memory_bytes: u64,
    /// Processor time of all its threads, in milliseconds.
    pub processor_ms: u64,
    /// Its open files and connections.
    pub open_files: u64,
    /// How many it may have.
    pub open_files_max: u64,
    /// Its threads.
    pub threads: u64,
}

/// A node of the cluster map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// It is this node.
    pub is_own: bool,
    /// Its address; empty for a node that the map turns off, or that is not in the map any more.
    pub address: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// `up`, `suspect`, `down`, `disabled` in the map, or `unknown`: nobody has called it yet. The node itself is `up`.
    pub state: String,
    /// Since when, in milliseconds since 1970; 0 when it is unknown.
    pub since_ms: u64,
    /// Why, as the log says.
    pub cause: String,
}

/// A group of the cluster map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupStatus {
    /// Its name.
    pub group: String,
    /// Its policy.
    pub policy: String,
    /// Its members.
    pub members: Vec<String>,
}

/// Where a node listens for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerStatus {
    /// The address.
    pub address: String,
}
