//! The settings of a load.

use std::time::Duration;

use skyring::{Address, Payload};

/// Most calls in flight of one load.
pub(super) const IN_FLIGHT_MAX: usize = 1 << 20;

/// Most calls a second of an open loop.
pub const CALLS_PER_SECOND_MAX: f64 = 1e9;

/// When calls begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadModel {
    /// A closed loop: as soon as the last call of the same caller is answered.
    Closed,
    /// An open loop: by a timetable with even intervals, so many a second over all shards. No more than the load's
    /// `in_flight` are ever in flight: further ones wait, and their latency counts from their time in the table.
    Open(f64),
}

/// The called service, how it is called, and for how long.
#[derive(Debug, Clone)]
pub struct Load {
    /// The node, by its name in the map.
    pub node: String,
    /// The service there.
    pub address: Address,
    /// The payload of every call.
    pub payload: Payload,
    /// The size of the value, in bytes; only for the result.
    pub size: usize,
    /// When calls begin.
    pub model: LoadModel,
    /// Calls in flight over all shards of the calling node; in an open loop the most.
    pub in_flight: usize,
    /// Different keys of the calls, which choose the channel; 0 = none, and then all calls of one shard have the same
    /// channel.
    pub keys: usize,
    /// The time at the beginning whose calls are not counted.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
    /// The process of the called node, to measure its processor time.
    pub server_process: Option<u32>,
}
