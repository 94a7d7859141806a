//! What peers do wrong, logged once in a while however often it happens.

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::log::Throttle;

/// Time between two log lines of one sort, in milliseconds.
const LOG_INTERVAL_MS: u64 = 10_000;

/// What a peer can do wrong.
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
    /// How many there are.
    const COUNT: usize = 6;
}

/// The log of incidents of one shard.
pub(in crate::cluster) struct Incidents([Throttle; Incident::COUNT]);

impl Default for Incidents {
    fn default() -> Incidents {
        Incidents(std::array::from_fn(|_| Throttle::new(LOG_INTERVAL_MS)))
    }
}

impl Incidents {
    /// Logs one line of a sort, and not again for a while.
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
