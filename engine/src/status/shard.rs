//! The part of a status that one shard knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Durations;
use super::node::{GroupStatus, ListenerStatus, PeerStatus};

/// One shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardStatus {
    /// Its number, from 0.
    pub shard: usize,
    /// It has answered in time. If not, every other figure is 0: it hangs in a handler, or has no processor.
    pub is_answering: bool,
    /// How long the question for these figures waited until the shard took it, in microseconds: the age of what waits in its
    /// inbox. Of a shard that has not answered, how long it has waited so far.
    pub inbox_age_us: u64,
    /// Batches of messages from other shards, jobs from other threads, and queued messages that wait.
    pub inbox_depth: u64,
    /// Turns.
    pub turns: u64,
    /// Processor time of its thread, in nanoseconds. Its share of the time is how busy the shard is; with `spin_us` it
    /// contains the time spent looking for work.
    pub processor_ns: u64,
    /// Messages, replies and socket events that it has handed to other shards.
    pub messages_crossed: u64,
    /// Sleeps that only the guard tick has ended.
    pub sleeps_rescued: u64,
    /// Calls and sleeps of its services that wait for their outcome.
    pub waiters: u64,
    /// Services on it.
    pub services: u64,
}

/// One service, or all of a node that have the same label, added up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its handle, as `:0000000a`; empty for a sum.
    pub handle: String,
    /// Its first name without its first character, else its kind; `other` for those beyond the cap.
    pub label: String,
    /// What it was launched as: its kind and arguments, or the name of its type.
    pub what: String,
    /// Its names, with their first characters.
    pub names: Vec<String>,
    /// The number of its shard; of a sum, 0.
    pub shard: usize,
    /// How many services this is: 1, or of a sum those that run.
    pub services: u64,
    /// Messages that it has got.
    pub messages: u64,
    /// Messages, answers, socket events and steps of its tasks.
    pub steps: u64,
    /// How long these took: from a sample, in which each counts for those since the last one.
    pub handler: Durations,
    /// Messages that wait for it, or that it answers later.
    pub messages_waiting: u64,
    /// Its running tasks.
    pub tasks: u64,
    /// Memory of its Lua state, or what else it says that it has, in bytes; 0 when it does not say.
    pub memory_bytes: u64,
    /// How often its supervisor has restarted it.
    pub restarts: u64,
    /// How its last life ended, if it was restarted.
    pub last_end: Option<String>,
}

impl ServiceStatus {
    /// Adds another one to a sum.
    pub fn add(&mut self, other: &ServiceStatus) {
        self.services += other.services;
        self.messages += other.messages;
        self.steps += other.steps;
        self.handler.add(&other.handler);
        self.messages_waiting += other.messages_waiting;
        self.tasks += other.tasks;
        self.memory_bytes += other.memory_bytes;
        self.restarts += other.restarts;
    }
}

/// What a measure's value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// It only grows, until its service ends.
    #[default]
    Counter,
    /// It grows and shrinks.
    Gauge,
}

/// A figure that services report of themselves, added up over those with the same label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measure {
    /// Its name, such as `gate_clients`.
    pub name: String,
    /// What it is, in one sentence.
    pub help: String,
    /// What its value is.
    pub unit: Unit,
    /// The label of its service, as in [`ServiceStatus::label`].
    pub service: String,
    /// Its value.
    pub value: u64,
}

/// The services of a shard.
#[derive(Debug, Default)]
pub(crate) struct ServicesStatus {
    /// How many there are.
    pub(crate) total: u64,
    /// Those that matter most.
    pub(crate) listed: Vec<ServiceStatus>,
    /// All by label.
    pub(crate) sums: Vec<ServiceStatus>,
    /// What they report of themselves.
    pub(crate) measures: Vec<Measure>,
}

/// What a shard reports when somebody asks for the status of its node.
#[derive(Debug, Default)]
pub(crate) struct ShardReport {
    pub(crate) shard: ShardStatus,
    pub(crate) services: ServicesStatus,
    pub(crate) channels: Vec<ChannelStatus>,
    pub(crate) channels_omitted: u64,
    pub(crate) inbound: InboundStatus,
    /// The cluster as a whole; only the first shard reports it.
    pub(crate) cluster: Option<ClusterStatus>,
}

/// What the first shard knows of the cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterStatus {
    pub(crate) peers: Vec<PeerStatus>,
    pub(crate) peers_omitted: u64,
    pub(crate) groups: Vec<GroupStatus>,
    pub(crate) listeners: Vec<ListenerStatus>,
    pub(crate) zone: Option<String>,
}

/// One channel to another node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// The name of the node.
    pub node: String,
    /// Its number, from 1.
    pub channel: u32,
    /// The shard that owns it.
    pub shard: usize,
    /// `open`, `offline`, or `draining` after the node's goodbye.
    pub state: String,
    /// `native`, `skynet`, or empty before the handshake.
    pub dialect: String,
    /// Calls that were put into it.
    pub calls: u64,
    /// Sends that were put into it.
    pub sends: u64,
    /// Calls and sends that failed, by the code of their error.
    pub errors: BTreeMap<String, u64>,
    /// Calls without their answer.
    pub in_flight: u64,
    /// Calls that wait for space in the out-buffer.
    pub backlog: u64,
    /// Bytes in the out-buffer.
    pub waiting_bytes: u64,
    /// Bytes written to its sockets.
    pub bytes_written: u64,
    /// Bytes read from its sockets.
    pub bytes_read: u64,
    /// Writes to its sockets: calls and sends divided by them are the size of a batch.
    pub writes: u64,
    /// Handshakes: each after the first is a reconnect.
    pub connects: u64,
    /// From a call to its answer: from a sample, in which each counts for those since the last one.
    pub round_trip: Durations,
}

impl ChannelStatus {
    /// Adds the counters of another channel, and of a channel to an earlier address of the node.
    pub fn add(&mut self, other: &ChannelStatus) {
        self.calls += other.calls;
        self.sends += other.sends;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.in_flight += other.in_flight;
        self.backlog += other.backlog;
        self.waiting_bytes += other.waiting_bytes;
        self.bytes_written += other.bytes_written;
        self.bytes_read += other.bytes_read;
        self.writes += other.writes;
        self.connects += other.connects;
        self.round_trip.add(&other.round_trip);
    }
}

/// The connections that other nodes have opened, of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundStatus {
    /// The shard.
    pub shard: usize,
    /// Connections, and sessions that wait to be resumed.
    pub connections: u64,
    /// Calls and sends that came over them.
    pub requests: u64,
    /// Bytes of requests that services have not finished.
    pub requests_bytes: u64,
    /// Bytes of unfinished messages and waiting answers.
    pub held_bytes: u64,
}
