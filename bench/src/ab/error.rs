//! Why a comparison has no result.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use crate::profile::ProfileError;
use crate::supervisor::WaitError;

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum AbError {
    /// A side refused its arguments.
    #[error("{side} refuses its arguments: {cause}")]
    Arguments {
        /// The side.
        side: &'static str,
        /// The last line that it wrote.
        cause: String,
    },
    /// A side ended, or gave no result.
    #[error("{side} gives no result: {cause}")]
    Side {
        /// The side.
        side: &'static str,
        /// The last line that it wrote, or what is wrong with its answer.
        cause: String,
    },
    /// Calls failed, so that figures mean nothing.
    #[error("{side}: {calls} calls were answered and {errors} failed: {codes:?}")]
    Calls {
        /// The side.
        side: &'static str,
        /// Answered calls of the window.
        calls: u64,
        /// Failed calls.
        errors: u64,
        /// The same by the code of their error.
        codes: BTreeMap<String, u64>,
    },
    /// Neither side answered a call in its window.
    #[error("neither side answered a call in its window: a longer --window may help")]
    NoCalls,
    /// A program has no windows, so that there are none to be profiled.
    #[error("there is no flame graph, because a program has no `bench --windows`: it is of an older version")]
    NoWindows,
    /// There is no profile.
    #[error("there is no flame graph: {0}")]
    Profile(#[from] ProfileError),
    /// A revision could not be built.
    #[error("{revision} cannot be built: {cause}")]
    Build {
        /// The revision, as it was given.
        revision: String,
        /// Why.
        cause: String,
    },
    /// The system failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

impl AbError {
    pub(super) fn waited(side: &'static str, error: WaitError) -> AbError {
        match error {
            WaitError::Interrupted => AbError::Interrupted,
            error => AbError::Side {
                side,
                cause: error.to_string(),
            },
        }
    }
}
