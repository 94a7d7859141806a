//! Membership: the map, the failure detector, and the monitors that receive its events.

mod changes;
pub(crate) mod detector;
mod map;
pub(crate) mod monitor;
mod probes;
mod reload;
pub(crate) mod states;
