//! Why a history cannot be read or a revision not be recorded.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::floors::PeerError;
use crate::supervisor::WaitError;

/// Why there is no history, or no record.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// A file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A line of a file is no record.
    #[error("{}: line {line}: {cause}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// Git does not know a revision.
    #[error("{revision} is not a revision of the git repository of this folder: {cause}")]
    Revision {
        /// The revision.
        revision: String,
        /// What git says.
        cause: String,
    },
    /// The program gives no result.
    #[error("{} gives no result: {cause}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The line in which it says why.
        cause: String,
    },
    /// Calls failed, so that figures mean nothing.
    #[error("{}: {calls} calls were answered and {errors} failed: {codes:?}", program.display())]
    Calls {
        /// The program.
        program: PathBuf,
        /// Calls that were answered.
        calls: u64,
        /// Calls that failed.
        errors: u64,
        /// The same by the code of their error.
        codes: BTreeMap<String, u64>,
    },
    /// The floor could not be measured.
    #[error("the floor: {0}")]
    Floor(PeerError),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The user interrupted the program.
    #[error("interrupted")]
    Interrupted,
}

impl From<PeerError> for HistoryError {
    fn from(error: PeerError) -> HistoryError {
        match error {
            PeerError::Interrupted => HistoryError::Interrupted,
            error => HistoryError::Floor(error),
        }
    }
}

impl HistoryError {
    /// A wait for the program that ended without its result.
    pub(super) fn waited(program: PathBuf, error: WaitError) -> HistoryError {
        match error {
            WaitError::Interrupted => HistoryError::Interrupted,
            WaitError::TimedOut(_) => HistoryError::Program {
                program,
                cause: format!("it wrote {error}"),
            },
        }
    }
}
