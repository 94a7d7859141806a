//! The targets by name.

/// A promise about performance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// With 256 calls in flight: beside the bare loop on glommio, and beside Redis.
    Throughput,
    /// A single call: beside the blocking echo.
    RoundTrip,
    /// An open loop at half of the maximum rate: p99 beside p50.
    HalfRate,
    /// 10,000 calls in flight: beside 256.
    ManyCallers,
    /// Payloads of a mebibyte: beside a blocking stream.
    LargePayloads,
    /// Keyed calls over four channels and four shards: none crosses shards.
    KeyedChannels,
    /// Calls to a healthy node beside a paused one: beside those without it.
    PausedPeer,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 7] = [
        Target::Throughput,
        Target::RoundTrip,
        Target::HalfRate,
        Target::ManyCallers,
        Target::LargePayloads,
        Target::KeyedChannels,
        Target::PausedPeer,
    ];

    /// Its name, for people and for the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Target::Throughput => "throughput",
            Target::RoundTrip => "round-trip",
            Target::HalfRate => "half-rate",
            Target::ManyCallers => "many-callers",
            Target::LargePayloads => "large-payloads",
            Target::KeyedChannels => "keyed-channels",
            Target::PausedPeer => "paused-peer",
        }
    }

    /// The target with that name.
    pub fn named(name: &str) -> Option<Target> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_by_its_own_name() {
        for target in Target::ALL {
            assert_eq!(Target::named(target.name()), Some(target));
        }
        assert_eq!(Target::named("speed"), None);
    }
}
