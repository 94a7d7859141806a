//! The settings that all callers have in common.

use std::sync::Arc;
use std::time::Duration;

use skyring::Address;
use skyring::config::WhenDown;

use super::reports::Reports;

/// Time between two checks for calls that are due.
pub(super) const TICK: Duration = Duration::from_millis(4);

/// Calls that one caller makes in a row before other tasks run.
pub(super) const BURST_MAX: u64 = 512;

/// The settings of every caller.
#[derive(Clone)]
pub(super) struct CallerSettings {
    pub(super) node: String,
    pub(super) address: Address,
    pub(super) timeout: Duration,
    /// Calls a second of each caller.
    pub(super) rate: f64,
    /// The most bytes of a call beside its numbers.
    pub(super) size_max: usize,
    pub(super) is_idempotent: bool,
    pub(super) when_down: WhenDown,
    pub(super) reports: Arc<Reports>,
}
