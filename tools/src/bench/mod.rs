//! `skyring bench`: calls per second and latency between two pinned processes, beside floors measured in the
//! same run; as a table, as JSON, as percentiles and as a page.

mod arguments;
mod compare;
mod measure;
mod output;
mod progress;
mod table;
mod targets;

use std::process::ExitCode;

use skyring_bench::Interrupt;

pub(crate) use arguments::Arguments;

use self::arguments::{Action, Plan};
use self::output::Files;
use crate::say::{self, FAILED, WRONG};

/// Measures, tells, and fails when calls did.
pub(crate) fn run(mut arguments: Arguments) -> ExitCode {
    match arguments.action.take() {
        Some(Action::Peers(peers)) => return crate::bench_peers::run(&peers),
        Some(Action::Compare(files)) => return compare::run(&files),
        Some(Action::Targets(targets)) => return targets::run(&targets),
        Some(Action::Ledger(ledger)) => return crate::bench_ledger::run(&ledger),
        Some(Action::Soak(soak)) => return crate::bench_ledger::soak(&soak),
        Some(Action::Chaos(chaos)) => return crate::bench_chaos::run(&chaos),
        Some(Action::LedgerNode(node)) => return crate::bench_ledger::run_node(&node),
        None => {}
    }
    // Before anybody measures for minutes to learn that a folder or a node does not exist.
    let (plan, files) = match Plan::of(&arguments).and_then(|plan| Ok((plan, Files::open(&arguments)?))) {
        Ok(ready) => ready,
        Err(cause) => return say::fail(WRONG, cause),
    };
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return say::fail(FAILED, error),
    };
    let (measured, profile) = match measure::measure(&plan, &interrupt) {
        Ok(measured) => measured,
        Err(error) => return say::fail(FAILED, error),
    };
    if let Err(cause) = files.write(&measured, profile.as_ref()) {
        return say::fail(FAILED, cause);
    }
    if measured.errors > 0 || measured.calls == 0 {
        let (calls, errors) = (measured.calls, measured.errors);
        return say::fail(
            FAILED,
            format!(
                "{calls} calls were answered and {errors} failed: {:?}",
                measured.errors_by_code
            ),
        );
    }
    ExitCode::SUCCESS
}
