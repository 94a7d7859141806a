//! The status of the node as metrics for Prometheus.
//!
//! Cardinality is bounded: services, peers and channels beyond the caps are added up under `other`. A shard that has not
//! answered has only the figures that say so, since zeroes would look like a restart.

mod text;

use std::collections::{BTreeMap, HashSet};

use self::text::Text;
use crate::metrics::Metrics;
use crate::status::{ChannelStatus, Durations, NodeStatus, ShardStatus, Unit};

/// Nodes whose channels the metrics tell apart, the first of the cluster map and of those that are called.
const ADMIN_PEERS_MAX: usize = 200;

/// Channels that the metrics tell apart.
const ADMIN_CHANNELS_MAX: usize = 400;

/// The label of all others.
const OTHER: &str = "other";

/// The metrics of a status. `known` remembers which channels are told apart.
pub(super) fn text_of(status: &NodeStatus, metrics: &Metrics, known: &mut KnownChannels) -> String {
    let mut text = Text::default();
    node(&mut text, status);
    process(&mut text, status);
    shards(&mut text, &status.shards);
    inbound(&mut text, status);
    peers(&mut text, status);
    channels(&mut text, &status.channels, known);
    services(&mut text, status);
    measures(&mut text, status);
    for (name, help, count) in metrics.described() {
        text.counter(name, help).add(&[], count);
    }
    text.into_string()
}

/// The peers and channels that are told apart: the first that came.
#[derive(Default)]
pub(super) struct KnownChannels {
    peers: HashSet<String>,
    channels: HashSet<(String, u32)>,
}

impl KnownChannels {
    fn peer<'a>(&mut self, node: &'a str) -> &'a str {
        let is_known = self.peers.contains(node)
            || self.peers.len() < ADMIN_PEERS_MAX && self.peers.insert(node.to_owned());
        if is_known { node } else { OTHER }
    }

    /// The labels of a channel.
    fn channel(&mut self, channel: &ChannelStatus) -> (String, String) {
        let peer = self.peer(&channel.node).to_owned();
        let key = (channel.node.clone(), channel.channel);
        let is_known = peer != OTHER
            && (self.channels.contains(&key)
                || self.channels.len() < ADMIN_CHANNELS_MAX && self.channels.insert(key));
        match is_known {
            true => (peer, channel.channel.to_string()),
            false => (OTHER.to_owned(), OTHER.to_owned()),
        }
    }
}

fn node(text: &mut Text, status: &NodeStatus) {
    let labels = [
        ("node", &*status.node),
        ("version", &*status.version),
        ("runtime", &*status.runtime),
    ];
    text.gauge(
        "info",
        "The node, its version and what runs its shards; always 1.",
    )
    .add(&labels, 1);
    let help = "1 when the node listens and its first services have started, and it does not stop.";
    text.gauge("ready", help).add(&[], u8::from(status.is_ready));
    text.gauge("failed", "1 when a supervisor of the node has given up.")
        .add(&[], u8::from(status.failure.is_some()));
    text.counter("log_lines_dropped", "Log lines that were lost.")
        .add(&[], status.log_lines_dropped);
}

fn process(text: &mut Text, status: &NodeStatus) {
    let process = &status.process;
    let mut add = |name, help, kind, value: f64| text.shared(name, help, kind).add(&[], value);
    let seconds = |milliseconds: u64| milliseconds as f64 / 1e3;
    add(
        "process_cpu_seconds_total",
        "Processor time of the process.",
        "counter",
        seconds(process.processor_ms),
    );
    add(
        "process_resident_memory_bytes",
        "What of the process is in memory.",
        "gauge",
        process.memory_bytes as f64,
    );
    add(
        "process_open_fds",
        "Open files and connections of the process.",
        "gauge",
        process.open_files as f64,
    );
    add(
        "process_max_fds",
        "How many it may have.",
        "gauge",
        process.open_files_max as f64,
    );
    add(
        "process_start_time_seconds",
        "When the node was started, in seconds since 1970.",
        "gauge",
        seconds(status.started_ms),
    );
}

fn shards(text: &mut Text, shards: &[ShardStatus]) {
    let numbered: Vec<(String, &ShardStatus)> = shards
        .iter()
        .map(|shard| (shard.shard.to_string(), shard))
        .collect();
    let mut answering = text.gauge(
        "shard_answering",
        "1 when the shard has answered within a second.",
    );
    for (number, shard) in &numbered {
        answering.add(&[("shard", number)], u8::from(shard.is_answering));
    }
    let help = "How long the question for the shard's figures waited until it took it: the age of its inbox.";
    let mut age = text.gauge("shard_inbox_age_seconds", help);
    for (number, shard) in &numbered {
        age.add(&[("shard", number)], shard.inbox_age_us as f64 / 1e6);
    }
    let mut add = |is_counter: bool, name, help, value: fn(&ShardStatus) -> f64| {
        let mut family = match is_counter {
            true => text.counter(name, help),
            false => text.gauge(name, help),
        };
        for (number, shard) in numbered.iter().filter(|(_, shard)| shard.is_answering) {
            family.add(&[("shard", number)], value(shard));
        }
    };
    let depth = "Batches of other shards, jobs of other threads and queued messages that wait for the shard.";
    add(false, "shard_inbox_depth", depth, |shard| {
        shard.inbox_depth as f64
    });
    add(true, "shard_turns", "Turns.", |shard| shard.turns as f64);
    let busy = "Processor time of the shard's thread; its rate is how busy the shard is.";
    add(true, "shard_processor_seconds", busy, |shard| {
        shard.processor_ns as f64 / 1e9
    });
    let crossed = "Messages, replies and socket events that the shard has handed to others.";
    add(true, "shard_messages_crossed", crossed, |shard| {
        shard.messages_crossed as f64
    });
    let rescued = "Sleeps of the shard that only the guard tick has ended.";
    add(true, "shard_sleeps_rescued", rescued, |shard| {
        shard.sleeps_rescued as f64
    });
    let waiters = "Calls and sleeps of services that wait for their outcome.";
    add(false, "shard_waiters", waiters, |shard| shard.waiters as f64);
    add(false, "shard_services", "Services on the shard.", |shard| {
        shard.services as f64
    });
}

fn inbound(text: &mut Text, status: &NodeStatus) {
    let mut add = |is_counter: bool, name, help, value: fn(&crate::status::InboundStatus) -> u64| {
        let mut family = match is_counter {
            true => text.counter(name, help),
            false => text.gauge(name, help),
        };
        for shard in &status.inbound {
            family.add(&[("shard", &shard.shard.to_string())], value(shard));
        }
    };
    let connections = "Connections that other nodes have opened, with sessions that wait to be resumed.";
    add(false, "inbound_connections", connections, |shard| {
        shard.connections
    });
    add(
        true,
        "inbound_requests",
        "Calls and sends of other nodes.",
        |shard| shard.requests,
    );
    let unfinished = "Requests of other nodes that services have not finished.";
    add(false, "inbound_request_bytes", unfinished, |shard| {
        shard.requests_bytes
    });
    let held = "Unfinished messages of other nodes, and answers that wait for them.";
    add(false, "inbound_held_bytes", held, |shard| shard.held_bytes);
}

fn peers(text: &mut Text, status: &NodeStatus) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for state in ["disabled", "down", "suspect", "unknown", "up"] {
        counts.insert(state, 0);
    }
    let others = status.peers.iter().filter(|peer| !peer.is_own);
    for peer in others.clone() {
        *counts.entry(&peer.state).or_default() += 1;
    }
    let mut family = text.gauge("peers", "Other nodes of the cluster map by their state.");
    for (state, count) in counts {
        family.add(&[("state", state)], count);
    }
    let seen: Vec<_> = others
        .filter(|peer| peer.state != "unknown" && peer.state != "disabled")
        .take(ADMIN_PEERS_MAX)
        .collect();
    let mut up = text.gauge("peer_up", "1 when the node is up, 0 when it is suspect or down.");
    for peer in &seen {
        up.add(&[("peer", &peer.node)], u8::from(peer.state == "up"));
    }
    let mut down = text.gauge("peer_down", "1 when the node is down.");
    for peer in &seen {
        down.add(&[("peer", &peer.node)], u8::from(peer.state == "down"));
    }
}

fn channels(text: &mut Text, channels: &[ChannelStatus], known: &mut KnownChannels) {
    let mut by_labels: BTreeMap<(String, String), ChannelStatus> = BTreeMap::new();
    let mut open: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut round_trips: BTreeMap<String, Durations> = BTreeMap::new();
    for channel in channels {
        let labels = known.channel(channel);
        *open.entry(labels.clone()).or_default() += u64::from(channel.state == "open");
        let peer = known.peer(&channel.node).to_owned();
        round_trips.entry(peer).or_default().add(&channel.round_trip);
        by_labels.entry(labels).or_default().add(channel);
    }
    let mut family = text.gauge("channel_open", "Channels that are connected.");
    for ((peer, channel), count) in &open {
        family.add(&[("peer", peer), ("channel", channel)], count);
    }
    let mut add = |is_counter: bool, name, help, value: fn(&ChannelStatus) -> u64| {
        let mut family = match is_counter {
            true => text.counter(name, help),
            false => text.gauge(name, help),
        };
        for ((peer, channel), sum) in &by_labels {
            family.add(&[("peer", peer), ("channel", channel)], value(sum));
        }
    };
    add(true, "channel_calls", "Calls to the node.", |channel| {
        channel.calls
    });
    add(true, "channel_sends", "Sends to the node.", |channel| {
        channel.sends
    });
    add(
        false,
        "channel_in_flight",
        "Calls without their answer.",
        |channel| channel.in_flight,
    );
    let backlog = "Calls that wait for space in the out-buffer.";
    add(false, "channel_backlog", backlog, |channel| channel.backlog);
    add(
        false,
        "channel_waiting_bytes",
        "What is in the out-buffer.",
        |channel| channel.waiting_bytes,
    );
    add(true, "channel_written_bytes", "What was written.", |channel| {
        channel.bytes_written
    });
    add(true, "channel_read_bytes", "What was read.", |channel| {
        channel.bytes_read
    });
    let writes = "Writes to the socket: calls and sends divided by them are the size of a batch.";
    add(true, "channel_writes", writes, |channel| channel.writes);
    let connects = "Handshakes: each after the first of a channel is a reconnect.";
    add(true, "channel_connects", connects, |channel| channel.connects);
    let mut errors = text.counter(
        "channel_errors",
        "Calls and sends that failed, by the code of the error.",
    );
    for ((peer, channel), sum) in &by_labels {
        for (code, count) in &sum.errors {
            errors.add(&[("peer", peer), ("channel", channel), ("code", code)], count);
        }
    }
    let help = "From a call to its answer, from a sample that stands for all calls.";
    let mut family = text.seconds("round_trip", help);
    for (peer, durations) in &round_trips {
        family.add_durations(&[("peer", peer)], durations);
    }
}

fn services(text: &mut Text, status: &NodeStatus) {
    let sums = &status.service_sums;
    let mut add = |is_counter: bool, name, help, value: fn(&crate::status::ServiceStatus) -> u64| {
        let mut family = match is_counter {
            true => text.counter(name, help),
            false => text.gauge(name, help),
        };
        for sum in sums {
            family.add(&[("service", &sum.label)], value(sum));
        }
    };
    let running = "Services that run, by name, or by kind those without a name.";
    add(false, "service_instances", running, |sum| sum.services);
    add(
        true,
        "service_messages",
        "Messages that services have got.",
        |sum| sum.messages,
    );
    let steps = "Messages, answers, socket events and steps of tasks of services.";
    add(true, "service_steps", steps, |sum| sum.steps);
    let waiting = "Messages that wait for services, or that they answer later.";
    add(false, "service_messages_waiting", waiting, |sum| {
        sum.messages_waiting
    });
    add(false, "service_tasks", "Running tasks of services.", |sum| {
        sum.tasks
    });
    let memory = "Memory of the Lua states of services, and what else they say that they have.";
    add(false, "service_memory_bytes", memory, |sum| sum.memory_bytes);
    let restarts = "How often the services that run have been restarted.";
    add(true, "service_restarts", restarts, |sum| sum.restarts);
    let help = "How long the steps of services took, from a sample that stands for all.";
    let mut family = text.seconds("service_handler", help);
    for sum in sums {
        family.add_durations(&[("service", &sum.label)], &sum.handler);
    }
}

fn measures(text: &mut Text, status: &NodeStatus) {
    let mut rest = &status.measures[..];
    // They are in the order of their names.
    while let Some(first) = rest.first() {
        let count = rest
            .iter()
            .take_while(|measure| measure.name == first.name)
            .count();
        let (these, others) = rest.split_at(count);
        let mut family = match first.unit {
            Unit::Counter => text.counter(&first.name, &first.help),
            Unit::Gauge => text.gauge(&first.name, &first.help),
        };
        for measure in these {
            family.add(&[("service", &measure.service)], measure.value);
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(node: &str, number: u32) -> ChannelStatus {
        ChannelStatus {
            node: node.to_owned(),
            channel: number,
            calls: 1,
            ..ChannelStatus::default()
        }
    }

    #[test]
    fn peers_and_channels_beyond_the_caps_are_added_up() {
        let mut known = KnownChannels::default();
        let many: Vec<ChannelStatus> = (0..ADMIN_PEERS_MAX + 10)
            .flat_map(|peer| [1, 2, 3].map(|number| channel(&format!("n{peer:04}"), number)))
            .collect();
        let mut text = Text::default();
        channels(&mut text, &many, &mut known);
        let text = text.into_string();
        let calls = text
            .lines()
            .filter(|line| line.starts_with("skyring_channel_calls_total{"));
        assert_eq!(calls.count(), ADMIN_CHANNELS_MAX + 1);
        let others = 3 * (ADMIN_PEERS_MAX + 10) - ADMIN_CHANNELS_MAX;
        let line = format!("skyring_channel_calls_total{{peer=\"other\",channel=\"other\"}} {others}\n");
        assert!(text.contains(&line), "{line}");
        let trips = text
            .lines()
            .filter(|line| line.starts_with("skyring_round_trip_seconds_count{"));
        assert_eq!(trips.count(), ADMIN_PEERS_MAX + 1);
    }
}
