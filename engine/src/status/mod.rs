//! What a running node tells of itself: the document of `/api/status`, as types that the node and its clients share.
//!
//! All counters begin at 0 when what they count begins, and only grow; whoever wants a rate reads the document twice and
//! divides by the difference of [`NodeStatus::uptime_ms`]. Times are in the unit that ends the name of a field. A field that
//! is added later has a default, so that a client reads the documents of older nodes, and unknown fields are ignored.

mod durations;
mod node;
mod shard;

pub use durations::{DURATION_BOUNDS_US, Durations};
pub use node::{GroupStatus, ListenerStatus, NodeStatus, PeerStatus, ProcessStatus};
pub use shard::{ChannelStatus, InboundStatus, Measure, ServiceStatus, ShardStatus, Unit};
pub(crate) use shard::{ClusterStatus, ServicesStatus, ShardReport};
