//! The unit of time of this crate.

/// Milliseconds on a monotonic clock of the caller of this crate; only differences have a meaning.
pub type Millis = u64;
