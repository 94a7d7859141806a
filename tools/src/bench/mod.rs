//! `skyring bench`: calls per second and latency between two pinned processes, beside floors measured in the
//! same run; as a table, as JSON, as percentiles and as a page.

mod ab;
mod arguments;
mod chaos;
mod compare;
mod gate;
mod history;
mod ledger;
mod measure;
mod network_faults;
mod nodes;
mod output;
mod peers;
mod plan;
mod progress;
mod record;
mod scenario;
mod table;
mod targets;
mod verdict_arguments;
mod windows;

use std::process::ExitCode;

use skyring_bench::Interrupt;

pub(crate) use self::arguments::Arguments;
pub(crate) use self::peers::serve_floor;

use self::arguments::Action;
use self::output::OutputFiles;
use self::plan::Plan;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail};

/// Runs a subcommand; without one, measures, prints, and fails when calls failed.
pub(crate) fn run(mut arguments: Arguments) -> ExitCode {
    match arguments.action.take() {
        Some(Action::Peers(peers)) => return peers::run(&peers),
        Some(Action::Ab(ab)) => return ab::run(&ab),
        Some(Action::Compare(files)) => return compare::run(&files),
        Some(Action::Record(record)) => return record::run(&record),
        Some(Action::History(history)) => return history::run(&history),
        Some(Action::Targets(targets)) => return targets::run(&targets),
        Some(Action::Run(run)) => return scenario::run(&run),
        Some(Action::Ledger(ledger)) => return ledger::ledger(&ledger),
        Some(Action::Soak(soak)) => return ledger::soak(&soak),
        Some(Action::Gate(gate)) => return gate::run(&gate),
        Some(Action::GateServer(server)) => return gate::serve(&server),
        Some(Action::Chaos(chaos)) => return chaos::run(&chaos),
        Some(Action::Nodes(nodes)) => return nodes::run(&nodes),
        Some(Action::LedgerNode(node)) => return ledger::run_node(&node),
        Some(Action::MeshNode(member)) => return nodes::run_member(&member),
        None => {}
    }
    // Before the measurement, which may take minutes: a folder or a node may not exist.
    let (plan, files) =
        match Plan::new(&arguments).and_then(|plan| Ok((plan, OutputFiles::create(&arguments)?))) {
            Ok(ready) => ready,
            Err(cause) => return fail(EXIT_USAGE, cause),
        };
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    if arguments.windows {
        return match windows::run(&plan, &interrupt) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILURE, error),
        };
    }
    let (measured, profiles) = match measure::measure(&plan, &interrupt) {
        Ok(measured) => measured,
        Err(error) => return fail(EXIT_FAILURE, error),
    };
    if let Err(cause) = files.write(&measured, profiles.as_ref()) {
        return fail(EXIT_FAILURE, cause);
    }
    if measured.errors > 0 || measured.calls == 0 {
        let (calls, errors) = (measured.calls, measured.errors);
        return fail(
            EXIT_FAILURE,
            format!(
                "{calls} calls were answered and {errors} failed: {:?}",
                measured.errors_by_code
            ),
        );
    }
    ExitCode::SUCCESS
}
