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

use self::arguments::Plan;
pub(crate) use self::arguments::{Arguments, SoakArguments};
pub(crate) use self::callee::{NodeArguments, run_node};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail};

/// Runs the ledger.
pub(crate) fn ledger(arguments: &Arguments) -> ExitCode {
    run_plan(arguments.plan())
}

/// Runs the ledger with all faults.
pub(crate) fn soak(arguments: &SoakArguments) -> ExitCode {
    run_plan(arguments.plan())
}

fn run_plan(plan: Result<Plan, String>) -> ExitCode {
    let plan = match plan {
        Ok(plan) => plan,
        Err(cause) => return fail(EXIT_USAGE, cause),
    };
    match run::run(&plan) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => fail(EXIT_FAILURE, format!("{violations} violations")),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}
