//! `skyring bench ledger` and `skyring bench soak`: numbered calls through a network and to processes that fail,
//! recorded on both sides, and compared.
//!
//! Invariant: a run ends by itself, with exit code 1 if a promise was broken.

mod arguments;
mod callee;
mod fault_schedule;
mod output;
mod run;

use std::process::ExitCode;

pub(crate) use self::arguments::{Arguments, SoakArguments};
pub(crate) use self::callee::{NodeArguments, run_node};
use self::run::LedgerRunError;
use crate::shared::output::{EXIT_FAILURE, fail};

/// Runs the ledger.
pub(crate) fn ledger(arguments: &Arguments) -> ExitCode {
    exit_code(run::run(&arguments.plan()))
}

/// Runs the ledger with all faults.
pub(crate) fn soak(arguments: &SoakArguments) -> ExitCode {
    exit_code(run::run(&arguments.plan()))
}

fn exit_code(outcome: Result<u64, LedgerRunError>) -> ExitCode {
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => fail(EXIT_FAILURE, format!("{violations} violations")),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}
