//! The dialling side: the channels that this node opens, and the pending requests.

pub(crate) mod channel;
pub(crate) mod drain;
mod handshake;
pub(crate) mod peers;
pub(crate) mod pending;
