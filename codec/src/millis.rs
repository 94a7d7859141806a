//! The unit of time of this crate.

/// Milliseconds on the monotonic clock of whoever drives this crate; only differences mean anything.
pub type Millis = u64;
