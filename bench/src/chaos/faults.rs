//! The faults of a proxy.

use std::time::Duration;

/// The faults of a [`ChaosProxy`](super::ChaosProxy). The default forwards everything at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// All connections are cut so many times a second, at even intervals; 0 = never.
    pub cuts_per_second: f64,
    /// Connections are cut with a reset (RST) instead of an orderly end (FIN).
    pub reset: bool,
    /// Bytes are forwarded no sooner than this after they were read.
    pub delay: Duration,
    /// At most so many bytes are forwarded at a time, once a millisecond in each direction.
    pub trickle_bytes: Option<usize>,
    /// Nothing is forwarded and nothing is cut, but connections are accepted: a half-open peer. Bytes that were read before
    /// wait until the stall is over.
    pub stalled: bool,
}
