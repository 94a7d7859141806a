//! From other nodes: listeners, the connections that peers opened, their sessions, and what all of them may hold.

pub(crate) mod admission;
pub(crate) mod budget;
mod drain;
pub(crate) mod inbound;
pub(in crate::cluster) mod incidents;
pub(crate) mod listener;
mod resume;
pub(crate) mod sessions;
mod table;
