//! Why a load has no result.

use skyring::Error;
use thiserror::Error as ThisError;

use super::settings::{CALLS_PER_SECOND_MAX, IN_FLIGHT_MAX};

/// Why there is no result.
#[derive(Debug, ThisError)]
pub enum LoadError {
    /// No call in flight, or more than the limit.
    #[error("in flight: 1 to {IN_FLIGHT_MAX} calls, not {0}")]
    InFlight(usize),
    /// The rate of an open loop is out of bounds.
    #[error("an open loop makes more than 0 and at most {CALLS_PER_SECOND_MAX} calls a second, not {0}")]
    Rate(f64),
    /// The node took no caller, or stopped.
    #[error("the load cannot run: {0}")]
    Node(#[from] Error),
}
