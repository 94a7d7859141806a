//! To other nodes: the channels that this node opens, and the requests that wait for one.

pub(in crate::cluster) mod channel;
pub(crate) mod drain;
mod handshake;
pub(crate) mod peers;
pub(crate) mod pending;
