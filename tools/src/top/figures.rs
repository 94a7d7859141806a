//! Rates and percentiles of the time between two documents of a node.

use std::collections::HashMap;

use skyring::status::{ChannelStatus, Durations, NodeStatus, PeerStatus, ServiceStatus, ShardStatus};

/// What a node did between two documents. A rate is `None` where there is no earlier document to compare with.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) status: NodeStatus,
    /// Calls and sends to other nodes a second.
    pub(super) calls: Option<f64>,
    /// Those that failed, a second.
    pub(super) errors: Option<f64>,
    /// Calls and sends of other nodes a second.
    pub(super) requests: Option<f64>,
    /// Messages to services a second.
    pub(super) messages: Option<f64>,
    /// Processor time of the process by time.
    pub(super) processor: Option<f64>,
    /// From calls to their answers, over all channels.
    pub(super) round_trip: Durations,
    pub(super) peers: Vec<PeerFigures>,
    pub(super) channels: Vec<ChannelFigures>,
    pub(super) services: Vec<ServiceFigures>,
    /// How busy each shard is, 0 to 1, in their order.
    pub(super) busy: Vec<Option<f64>>,
}

#[derive(Debug)]
pub(super) struct PeerFigures {
    pub(super) status: PeerStatus,
    pub(super) channels: usize,
    pub(super) channels_open: usize,
    pub(super) calls: Option<f64>,
    pub(super) round_trip: Durations,
}

#[derive(Debug)]
pub(super) struct ChannelFigures {
    pub(super) status: ChannelStatus,
    pub(super) calls: Option<f64>,
    pub(super) errors: Option<f64>,
    /// Bytes in both directions a second.
    pub(super) bytes: Option<f64>,
    /// Calls and sends of one write.
    pub(super) batch: Option<f64>,
    pub(super) round_trip: Durations,
}

#[derive(Debug)]
pub(super) struct ServiceFigures {
    pub(super) status: ServiceStatus,
    pub(super) messages: Option<f64>,
    /// The share of one processor that its handlers take.
    pub(super) busy: Option<f64>,
    pub(super) handler: Durations,
}

/// Whether two documents are of the same run of a node, in this order.
pub(super) fn is_same_run(before: &NodeStatus, now: &NodeStatus) -> bool {
    before.started_ms == now.started_ms && before.uptime_ms < now.uptime_ms
}

/// The growth of a counter per second.
fn rate(now: u64, before: u64, seconds: f64) -> Option<f64> {
    (now >= before && seconds > 0.0).then(|| (now - before) as f64 / seconds)
}

impl Figures {
    /// The figures between two documents; without an earlier one of the same run there are no rates.
    pub(super) fn of(now: &NodeStatus, before: Option<&NodeStatus>) -> Figures {
        let before = before.filter(|before| is_same_run(before, now));
        let seconds = before.map_or(0.0, |before| (now.uptime_ms - before.uptime_ms) as f64 / 1_000.0);
        let channels = channels(now, before, seconds);
        let total = |value: fn(&ChannelFigures) -> Option<f64>| {
            before.map(|_| channels.iter().filter_map(value).sum())
        };
        let requests = |status: &NodeStatus| status.inbound.iter().map(|inbound| inbound.requests).sum();
        // What services did that have ended stays in these sums.
        let messages = |status: &NodeStatus| status.service_sums.iter().map(|sum| sum.messages).sum();
        let rate_of = |value: &dyn Fn(&NodeStatus) -> u64| rate(value(now), value(before?), seconds);
        let mut round_trip = Durations::default();
        for channel in &channels {
            round_trip.add(&channel.round_trip);
        }
        Figures {
            calls: total(|channel| channel.calls),
            errors: total(|channel| channel.errors),
            requests: rate_of(&requests),
            messages: rate_of(&messages),
            processor: rate_of(&|status| status.process.processor_ms).map(|rate| rate / 1_000.0),
            round_trip,
            peers: now
                .peers
                .iter()
                .map(|peer| peer_figures(peer, &channels))
                .collect(),
            services: services(now, before, seconds),
            busy: busy(now, before, seconds),
            channels,
            status: now.clone(),
        }
    }
}

fn errors(channel: &ChannelStatus) -> u64 {
    channel.errors.values().sum()
}

fn channels(now: &NodeStatus, before: Option<&NodeStatus>, seconds: f64) -> Vec<ChannelFigures> {
    let earlier: HashMap<(&str, u32), &ChannelStatus> = before
        .iter()
        .flat_map(|before| &before.channels)
        .map(|channel| ((channel.node.as_str(), channel.channel), channel))
        .collect();
    let none = ChannelStatus::default();
    let figures = now.channels.iter().map(|channel| {
        // One that the earlier document does not have began at 0, unless that left some out.
        let old = earlier.get(&(channel.node.as_str(), channel.channel)).copied();
        let is_complete = before.is_some_and(|before| before.channels_omitted == 0);
        let old = old.or(is_complete.then_some(&none));
        let requests = |channel: &ChannelStatus| channel.calls + channel.sends;
        let bytes = |channel: &ChannelStatus| channel.bytes_written + channel.bytes_read;
        let batch = old.and_then(|old| {
            let writes = channel
                .writes
                .checked_sub(old.writes)
                .filter(|writes| *writes > 0)?;
            Some(requests(channel).checked_sub(requests(old))? as f64 / writes as f64)
        });
        ChannelFigures {
            calls: old.and_then(|old| rate(requests(channel), requests(old), seconds)),
            errors: old.and_then(|old| rate(errors(channel), errors(old), seconds)),
            bytes: old.and_then(|old| rate(bytes(channel), bytes(old), seconds)),
            batch,
            round_trip: old.map_or_else(Durations::default, |old| {
                channel.round_trip.since(&old.round_trip)
            }),
            status: channel.clone(),
        }
    });
    figures.collect()
}

fn peer_figures(peer: &PeerStatus, channels: &[ChannelFigures]) -> PeerFigures {
    let own: Vec<&ChannelFigures> = channels
        .iter()
        .filter(|channel| channel.status.node == peer.node)
        .collect();
    let mut round_trip = Durations::default();
    for channel in &own {
        round_trip.add(&channel.round_trip);
    }
    let rates: Vec<f64> = own.iter().filter_map(|channel| channel.calls).collect();
    PeerFigures {
        channels: own.len(),
        channels_open: own
            .iter()
            .filter(|channel| channel.status.state == "open")
            .count(),
        calls: (!rates.is_empty()).then(|| rates.iter().sum()),
        round_trip,
        status: peer.clone(),
    }
}

fn services(now: &NodeStatus, before: Option<&NodeStatus>, seconds: f64) -> Vec<ServiceFigures> {
    let earlier: HashMap<(&str, &str), &ServiceStatus> = before
        .iter()
        .flat_map(|before| &before.services)
        .map(|service| ((service.handle.as_str(), service.what.as_str()), service))
        .collect();
    let figures = now.services.iter().map(|service| {
        let old = earlier.get(&(service.handle.as_str(), service.what.as_str()));
        let busy = old.and_then(|old| rate(service.handler.sum_ns, old.handler.sum_ns, seconds));
        ServiceFigures {
            messages: old.and_then(|old| rate(service.messages, old.messages, seconds)),
            busy: busy.map(|nanoseconds| nanoseconds / 1e9),
            handler: old.map_or_else(Durations::default, |old| service.handler.since(&old.handler)),
            status: service.clone(),
        }
    });
    figures.collect()
}

fn busy(now: &NodeStatus, before: Option<&NodeStatus>, seconds: f64) -> Vec<Option<f64>> {
    let old = |shard: &ShardStatus| before?.shards.iter().find(|old| old.shard == shard.shard);
    let shards = now.shards.iter();
    shards
        .map(|shard| {
            let old = old(shard).filter(|old| old.is_answering && shard.is_answering)?;
            Some(rate(shard.processor_ns, old.processor_ns, seconds)? / 1e9)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(uptime_ms: u64, calls: u64) -> NodeStatus {
        let mut status = NodeStatus {
            started_ms: 7,
            uptime_ms,
            ..NodeStatus::default()
        };
        status.channels.push(ChannelStatus {
            node: "db".into(),
            channel: 1,
            state: "open".into(),
            calls,
            writes: calls / 2,
            ..ChannelStatus::default()
        });
        status.peers.push(PeerStatus {
            node: "db".into(),
            ..PeerStatus::default()
        });
        status
    }

    #[test]
    fn rates_are_growth_by_the_time_of_the_node() {
        let figures = Figures::of(&document(3_000, 500), Some(&document(1_000, 100)));
        assert_eq!(figures.calls, Some(200.0));
        assert_eq!(figures.peers[0].calls, Some(200.0));
        assert_eq!(
            (figures.peers[0].channels, figures.peers[0].channels_open),
            (1, 1)
        );
        assert_eq!(figures.channels[0].batch, Some(2.0));
    }

    #[test]
    fn there_is_no_rate_without_an_earlier_document_of_the_same_run() {
        let now = document(3_000, 500);
        assert_eq!(Figures::of(&now, None).calls, None);
        let mut of_other_run = document(1_000, 100);
        of_other_run.started_ms = 6;
        assert_eq!(Figures::of(&now, Some(&of_other_run)).calls, None);
        assert_eq!(Figures::of(&now, Some(&now)).calls, None);
    }

    #[test]
    fn a_channel_that_came_between_began_at_nothing_and_a_counter_that_shrank_gives_no_rate() {
        let mut before = document(1_000, 600);
        let now = document(2_000, 500);
        assert_eq!(Figures::of(&now, Some(&before)).channels[0].calls, None);
        before.channels.clear();
        assert_eq!(Figures::of(&now, Some(&before)).calls, Some(500.0));
        before.channels_omitted = 1;
        assert_eq!(Figures::of(&now, Some(&before)).channels[0].calls, None);
    }
}
