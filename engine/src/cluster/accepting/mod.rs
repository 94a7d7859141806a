//! The accepting side: listeners, inbound connections, their sessions, and the limits of their memory.

pub(crate) mod admission;
pub(crate) mod budget;
mod drain;
pub(crate) mod inbound;
pub(in crate::cluster) mod incidents;
pub(crate) mod listener;
mod resume;
pub(crate) mod sessions;
mod table;
pub(crate) mod waiting;
