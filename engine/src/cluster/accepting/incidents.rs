//! Faults of peers, logged at a limited rate.

use skyring_codec::native::Unproved;

use crate::core::ShardCore;
use crate::log::{Level, Throttle};
use crate::tls::{TLS_REASONS, TlsReason};

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
    /// A connection ended because too many had not proved the cluster secret.
    Crowded,
    /// The proof of the cluster secret did not come in time.
    Late,
    /// A peer has called a service that it may not call.
    NotAllowed,
    /// The peer has not proved what it must.
    Unproved(Unproved),
    /// The TLS connection has failed.
    Tls(TlsReason),
}

/// The kinds without those of [`Incident::Unproved`] and [`Incident::Tls`].
const PLAIN: [Incident; 9] = [
    Incident::Malformed,
    Incident::Silent,
    Incident::Stalled,
    Incident::TooLarge,
    Incident::Greedy,
    Incident::Overloaded,
    Incident::Crowded,
    Incident::Late,
    Incident::NotAllowed,
];

impl Incident {
    /// The number of kinds.
    const COUNT: usize = PLAIN.len() + Unproved::ALL.len() + TLS_REASONS.len();

    /// Its place among all kinds.
    fn index(self) -> usize {
        let index = match self {
            Incident::Unproved(reason) => {
                let at = Unproved::ALL.iter().position(|other| *other == reason);
                at.map(|at| PLAIN.len() + at)
            }
            Incident::Tls(reason) => {
                let at = TLS_REASONS.iter().position(|other| *other == reason);
                at.map(|at| PLAIN.len() + Unproved::ALL.len() + at)
            }
            plain => PLAIN.iter().position(|other| *other == plain),
        };
        index.unwrap_or_default()
    }
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
        let allowed = self.0[incident.index()].allow(shard.now());
        match allowed {
            Some(0) => shard.log_cluster(Level::Warning, text()),
            Some(more) => {
                shard.log_cluster(Level::Warning, format!("{} ({more} more since the last)", text()))
            }
            None => {}
        }
    }
}
