//! Chooses the measurement of a target.

use super::context::Context;
use super::result::TargetResult;
use super::target::Target;
use super::{half_rate, keyed_channels, large_payloads, many_callers, paused_peer, peer_ratios};
use crate::pair::PairError;

impl Target {
    /// Measures it. `progress` is called with the name of each part.
    ///
    /// # Errors
    /// [`PairError`] when Skyring has no figures or the user interrupts. A peer that is not installed is left out.
    pub fn measure(
        self,
        context: &Context<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<TargetResult>, PairError> {
        match self {
            Target::Throughput => peer_ratios::throughput(context, progress),
            Target::RoundTrip => peer_ratios::round_trip(context, progress),
            Target::HalfRate => half_rate::measure(context, progress),
            Target::ManyCallers => many_callers::measure(context, progress),
            Target::LargePayloads => large_payloads::measure(context, progress),
            Target::KeyedChannels => keyed_channels::measure(context, progress),
            Target::PausedPeer => paused_peer::measure(context, progress),
        }
    }
}
