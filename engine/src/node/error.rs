//! Why a node does not start.

use std::io;
use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::config::RuntimeVariableError;
use crate::error::Error;

/// Why a node did not start.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// This machine cannot run shards, or refused a thread or a descriptor.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The environment names a runtime that does not exist.
    #[error(transparent)]
    Environment(#[from] RuntimeVariableError),
    /// The log file cannot be written.
    #[error("cannot log to {file}: {error}")]
    Log {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A service of the config, or its `open`, failed.
    #[error("{what}: {error}")]
    Service {
        /// Which key of the config, or which service.
        what: String,
        /// Why.
        error: Error,
    },
}
