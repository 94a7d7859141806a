//! Faults of peers, logged at a limited rate.

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::log::Throttle;

/// Time between two log lines of one kind, in milliseconds.
const LOG_INTERVAL_MS: u64 = 10_000;

/// A fault of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Incident {
    Malformed,
    Silent,
    Stalled,
    TooLarge,
    Greedy,
    Overloaded,
}

impl Incident {
    /// The number of kinds.
    const COUNT: usize = 6;
}

/// The log throttles of one shard, one for each kind of incident.
pub(in crate::cluster) struct Incidents([Throttle; Incident::COUNT]);

impl Default for Incidents {
    fn default() -> Incidents {
        Incidents(std::array::from_fn(|_| Throttle::new(LOG_INTERVAL_MS)))
    }
}

impl Incidents {
    /// Logs an incident, unless one of its kind was logged within the interval.
    pub(in crate::cluster) fn log(
        &self,
        shard: &ShardCore,
        incident: Incident,
        text: impl FnOnce() -> String,
    ) {
        let allowed = self.0[incident as usize].allow(shard.now());
        match allowed {
            Some(0) => shard.log(Handle::NONE, text()),
            Some(more) => shard.log(Handle::NONE, format!("{} ({more} more since the last)", text())),
            None => {}
        }
    }
}
