//! The cluster in the status of a node: its channels and inbound connections by shard, and from the first shard the nodes
//! and groups of the map.

use crate::cluster::room::ClusterShard;
use crate::config::{ClusterMap, NodeEntry};
use crate::core::ShardCore;
use crate::status::{ChannelStatus, ClusterStatus, GroupStatus, InboundStatus, PeerStatus};

/// Nodes of the map in the status of a node.
pub const PEERS_LISTED_MAX: usize = 1_000;

/// Channels of one shard in the status of a node.
pub const CHANNELS_LISTED_MAX: usize = 1_000;

/// The state of a node that the map turns off.
const DISABLED: &str = "disabled";

impl ClusterShard {
    /// The channels of this shard, and how many are left out.
    pub(crate) fn channel_statuses(&self, shard: &ShardCore) -> (Vec<ChannelStatus>, u64) {
        let channels = self.channels.borrow();
        let statuses = channels.iter().map(|channel| channel.status(shard));
        let listed: Vec<ChannelStatus> = statuses.take(CHANNELS_LISTED_MAX).collect();
        let omitted = channels.len().saturating_sub(listed.len());
        (listed, omitted as u64)
    }

    /// The connections that peers have opened.
    pub(crate) fn inbound_status(&self, shard: &ShardCore) -> InboundStatus {
        InboundStatus {
            shard: shard.index,
            connections: self.inbound.borrow().len() as u64,
            requests: self.budget.requests_begun(),
            requests_bytes: self.budget.requests_bytes() as u64,
            held_bytes: self.budget.held_bytes() as u64,
        }
    }

    /// The nodes and groups of the map.
    pub(crate) fn status(&self, shard: &ShardCore) -> ClusterStatus {
        let own = shard.node.settings.name.as_str();
        self.map.read(|map| {
            let peers = map.nodes.iter().take(PEERS_LISTED_MAX);
            let peers: Vec<PeerStatus> = peers
                .map(|(name, entry)| self.peer_status(map, name, entry, name == own))
                .collect();
            ClusterStatus {
                peers_omitted: (map.nodes.len() - peers.len()) as u64,
                peers,
                groups: map
                    .groups()
                    .take(PEERS_LISTED_MAX)
                    .map(|(name, group)| GroupStatus {
                        group: name.to_owned(),
                        policy: group.policy.name().to_owned(),
                        members: group.members.clone(),
                    })
                    .collect(),
                listeners: self.shared.listener_statuses(),
                zone: map.zone(own).map(str::to_owned),
            }
        })
    }

    fn peer_status(&self, map: &ClusterMap, name: &str, entry: &NodeEntry, is_own: bool) -> PeerStatus {
        let event = self.states.event(name);
        let state = match entry {
            NodeEntry::Disabled => DISABLED,
            NodeEntry::Address(_) if is_own => "up",
            NodeEntry::Address(_) => self.states.state(name).name(),
        };
        let (since_ms, cause) = event.map_or((0, String::new()), |event| {
            (event.time_ms(), event.cause.to_string())
        });
        PeerStatus {
            node: name.to_owned(),
            is_own,
            address: entry.address().map(ToString::to_string).unwrap_or_default(),
            zone: map.zone(name).map(str::to_owned),
            state: state.to_owned(),
            since_ms,
            cause,
        }
    }
}
