//! The settings of a load.

use std::time::Duration;

use skyring::{Address, Payload};

use super::error::LoadError;
use crate::foreign::Target;

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

impl Load {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            size: self.size,
            model: self.model,
            in_flight: self.in_flight,
            warm_up: self.warm_up,
            duration: self.duration,
            server_process: self.server_process,
        }
    }
}

/// A load of calls to a server that is no node of a cluster.
#[derive(Debug, Clone)]
pub struct TargetLoad {
    /// The server, and how it is called.
    pub target: Target,
    /// Connections to it, over all shards of the calling node; each shard has at least one.
    pub connections: usize,
    /// When calls begin.
    pub model: LoadModel,
    /// Calls in flight over all shards of the calling node; in an open loop the most. What is more than one for each
    /// connection is pipelined.
    pub in_flight: usize,
    /// The time at the beginning whose calls are not counted.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
}

impl TargetLoad {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            size: self.target.size(),
            model: self.model,
            in_flight: self.in_flight,
            warm_up: self.warm_up,
            duration: self.duration,
            server_process: None,
        }
    }
}

/// When calls begin, how many, and for how long: the same for all that can be called.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) size: usize,
    pub(crate) model: LoadModel,
    pub(crate) in_flight: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) server_process: Option<u32>,
}

impl Schedule {
    pub(super) fn check(&self) -> Result<(), LoadError> {
        if self.in_flight == 0 || self.in_flight > IN_FLIGHT_MAX {
            return Err(LoadError::InFlight(self.in_flight));
        }
        if let LoadModel::Open(rate) = self.model
            && !(rate > 0.0 && rate <= CALLS_PER_SECOND_MAX)
        {
            return Err(LoadError::Rate(rate));
        }
        Ok(())
    }
}
