//! Why a ledger ends early.

use std::io;

use skyring::Error;
use thiserror::Error as ThisError;

use super::plan::LEDGER_CALLERS_MAX;
use super::verifier::OPEN_CALLS_MAX;

/// Why a ledger ends early.
#[derive(Debug, ThisError)]
pub enum LedgerError {
    /// No caller, or more than the limit.
    #[error("callers: 1 to {LEDGER_CALLERS_MAX}, not {0}")]
    Callers(usize),
    /// The calling node took no caller, or stopped.
    #[error("the calling node: {0}")]
    Node(#[from] Error),
    /// A journal cannot be read.
    #[error("the callee's journal: {0}")]
    Journal(#[from] io::Error),
    /// More calls than the limit wait for their verdict.
    #[error("{OPEN_CALLS_MAX} calls wait for their verdict: the journals are too far behind")]
    Behind,
}
