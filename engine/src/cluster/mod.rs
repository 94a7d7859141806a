//! The cluster, as one shard sees it: its channels to peers, the connections that peers opened, who is up, and the
//! groups of nodes.
//!
//! - `dialling`: channels to peers, and the requests that wait for one;
//! - `accepting`: listeners, the connections that peers opened, and what they may hold;
//! - `membership`: the map, which nodes are up, and who is told;
//! - `group`: several nodes behind one name.
//!
//! A peer's channel belongs to one shard; requests from other shards come there by way of the router. The
//! map is shared by all shards and changed by `reload`; each shard then looks at its own channels.

pub(crate) mod accepting;
pub(crate) mod dialling;
pub(crate) mod group;
mod link_io;
pub(crate) mod membership;
mod rate_limit;
mod room;
mod routing;
pub(crate) mod shared;
mod stop;
#[cfg(test)]
mod tests;

pub(crate) use room::ClusterShard;
pub(crate) use shared::ClusterShared;
