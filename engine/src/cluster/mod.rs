//! The cluster room of one shard: its channels to peers, the connections that peers opened, the state of other nodes,
//! and the groups of nodes.
//!
//! - `dialling`: channels to peers, and the requests that wait for one;
//! - `accepting`: listeners, inbound connections, their sessions and their limits;
//! - `membership`: the map, the failure detector and the monitors;
//! - `group`: several nodes behind one name.
//!
//! One shard owns each channel of a peer; the router brings requests from other shards there. All shards share the
//! map, which `reload` changes; each shard then updates its own channels.

pub(crate) mod accepting;
pub(crate) mod dialling;
pub(crate) mod group;
mod link_io;
pub(crate) mod membership;
mod rate_limit;
mod room;
mod routing;
pub(crate) mod shared;
mod signs_of_life;
pub(crate) mod status;
mod stop;
#[cfg(test)]
mod tests;

pub(crate) use room::ClusterShard;
pub(crate) use shared::ClusterShared;
