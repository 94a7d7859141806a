//! Searches for inputs that make an entry fail, without a fuzzer's instrumentation.
//!
//! Inputs are mutated by whole [units](units); one that makes the entry note new [events](crate::entries::events)
//! is retained and mutated further. A failure is a panic, an input that takes more than [`SLOW`] three times
//! running, or one that has not ended after [`ENDLESS`]. Panics and slow inputs are [shrunk](shrink).
//!
//! Invariants: the same entry, seed and number of executions give the same inputs; everything retained is bounded.
//! Times are times of the processor, so that a process that is paused is not judged by its pause.

pub mod arguments;
mod attempt;
pub mod campaign;
pub mod clock;
pub mod command;
pub mod hex;
mod mutate;
mod random;
mod retained;
pub mod shrink;
pub mod units;
pub mod watchdog;

use std::time::Duration;

/// An input that takes longer three times running is a failure.
pub const SLOW: Duration = Duration::from_secs(1);

/// An input that takes so long is a failure at once, and is not waited for.
pub const ENDLESS: Duration = Duration::from_secs(30);

/// Bytes that an input may have.
pub const INPUT_BYTES_MAX: usize = 4_096;

pub use attempt::{Failure, judge};
pub use clock::process_time;
pub use random::{Random, seed_new};
