//! Runs a scenario: its nodes, its phases one after the other, and the faults in them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use skyring::Runtime;

use super::callee::ScenarioCallee;
use super::check::Scenario;
use super::cluster::Cluster;
use super::error::ScenarioError;
use super::faults::FaultSchedule;
use super::outcome::{PhaseFigures, ScenarioResult};
use super::stats::Stats;
use crate::interrupt::Interrupt;
use crate::load::{Schedule, start_schedule};
use crate::machine::Machine;
use crate::node_process::Program;

/// Time between two looks at the faults that are due.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Runs it; `observe` is called with the name of the phase, and with how long it has run, about a hundred times a second.
///
/// # Errors
/// [`ScenarioError`]; then no process is left.
pub fn run(
    scenario: &Scenario,
    runtime: Runtime,
    program: &Program,
    interrupt: &Interrupt,
    mut observe: impl FnMut(&str, Duration),
) -> Result<ScenarioResult, ScenarioError> {
    let began_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let mut cluster = Cluster::start(scenario, runtime, program, interrupt)?;
    let shared = Arc::new(scenario.clone());
    let mut phases = Vec::new();
    for (index, phase) in scenario.phases.iter().enumerate() {
        let merged = Arc::new(Mutex::new(Stats::new(scenario.operations.len())));
        let schedule = Schedule {
            size: 0,
            model: phase.model,
            in_flight: phase.in_flight,
            warm_up: Duration::ZERO,
            duration: phase.duration,
            server_process: None,
        };
        let (there, counts) = (Arc::clone(&shared), Arc::clone(&merged));
        let mut running = start_schedule(&cluster.client, schedule, move |caller| {
            ScenarioCallee::new(caller, &there, index, &counts)
        })?;
        let started = Instant::now();
        let mut faults = FaultSchedule::of(&scenario.faults, index);
        let load = loop {
            if interrupt.requested() {
                return Err(ScenarioError::Interrupted);
            }
            if let Some(load) = running.wait(POLL_INTERVAL)? {
                break load;
            }
            faults.advance(started.elapsed(), &mut cluster)?;
            observe(&phase.name, started.elapsed());
        };
        // None outlasts its phase.
        faults.end(&mut cluster)?;
        let stats = merged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        phases.push(PhaseFigures::new(scenario, index, &load, &stats));
    }
    Ok(ScenarioResult {
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        source: scenario.source.clone(),
        runtime: runtime.to_string(),
        machine: Machine::this(),
        began_at,
        objectives: scenario
            .objectives
            .iter()
            .flat_map(|objective| objective.verdicts(&phases))
            .collect(),
        phases,
    })
}
