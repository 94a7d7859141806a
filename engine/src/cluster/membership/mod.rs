//! Who is in the cluster: the map, which nodes are up and which are down, and who is told of it.

mod changes;
pub(crate) mod detector;
mod map;
pub(crate) mod monitor;
mod probes;
pub(crate) mod states;
