//! The result of a scenario: the figures of each phase and operation, the verdict on each objective, and all that is needed
//! to repeat it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Scenario;
use super::file::ObjectivePart;
use super::stats::{OperationStats, Stats};
use crate::cpu::CpuSeconds;
use crate::format::grouped;
use crate::latency::{self, Latency};
use crate::load::LoadResult;
use crate::machine::Machine;
use crate::objective::Objective;

/// The result of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// Its name.
    pub scenario: String,
    /// The seed, which the command line may have replaced.
    pub seed: u64,
    /// The text of its file, from which it can be repeated.
    pub source: String,
    /// What ran the shards.
    pub runtime: String,
    /// The machine, and the version of Skyring.
    pub machine: Machine,
    /// Seconds since 1970 when it began.
    pub began_at: u64,
    /// The phases, in order.
    pub phases: Vec<PhaseFigures>,
    /// The objectives, in order.
    pub objectives: Vec<Verdict>,
}

/// The figures of a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// Its name.
    pub name: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Operations that were begun.
    pub begun: u64,
    /// A number that follows from which operations these were; the same seed and count give the same.
    pub digest: String,
    /// Operations that were due and never begun or never ended.
    pub unanswered: u64,
    /// The most operations that were due and waited to begin.
    pub backlog_max: u64,
    /// Processor time of the calling process.
    pub cpu_seconds: f64,
    /// All calls; sends, which have no answer, are left out.
    pub calls: OperationFigures,
    /// Each operation.
    pub operations: Vec<OperationFigures>,
}

/// The figures of an operation in a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationFigures {
    /// Its name.
    pub name: String,
    /// How many ended without an error.
    pub answered: u64,
    /// The same a second.
    pub per_second: f64,
    /// How long they took; of a send, until it was handed over.
    pub latency_us: Latency,
    /// How many failed, by the code of the error.
    pub errors: BTreeMap<String, u64>,
}

/// An objective, and whether it was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The objective as text.
    pub objective: String,
    /// What was found, as text.
    pub found: String,
    /// Whether it was met.
    pub is_met: bool,
}

impl OperationFigures {
    fn of(name: &str, stats: &OperationStats, seconds: f64) -> OperationFigures {
        OperationFigures {
            name: name.to_owned(),
            answered: stats.latencies.len(),
            per_second: stats.latencies.len() as f64 / seconds,
            latency_us: Latency::of(&stats.latencies),
            errors: stats
                .errors
                .iter()
                .map(|(code, count)| ((*code).to_owned(), *count))
                .collect(),
        }
    }

    /// How many failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl PhaseFigures {
    pub(super) fn new(scenario: &Scenario, phase: usize, load: &LoadResult, stats: &Stats) -> PhaseFigures {
        use super::file::OperationKind;
        let mut calls = OperationStats {
            latencies: latency::histogram(),
            errors: BTreeMap::new(),
        };
        let planned = scenario.operations.iter().zip(&stats.operations);
        for (plan, operation) in planned.clone() {
            if plan.kind == OperationKind::Call {
                calls.add(operation);
            }
        }
        let CpuSeconds { client, .. } = load.cpu_seconds;
        PhaseFigures {
            name: scenario
                .phases
                .get(phase)
                .map_or_else(String::new, |phase| phase.name.clone()),
            seconds: load.seconds,
            begun: stats.begun,
            digest: format!("{:016x}", stats.digest),
            unanswered: load.unanswered,
            backlog_max: load.backlog_max,
            cpu_seconds: client,
            calls: OperationFigures::of("calls", &calls, load.seconds),
            operations: planned
                .map(|(plan, operation)| OperationFigures::of(&plan.name, operation, load.seconds))
                .collect(),
        }
    }
}

impl ScenarioResult {
    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether every objective was met.
    pub fn is_met(&self) -> bool {
        self.objectives.iter().all(|verdict| verdict.is_met)
    }
}

/// What must hold at the end of a phase.
#[derive(Debug, Clone)]
pub(super) struct ObjectivePlan {
    phase: usize,
    operation: Option<usize>,
    latency: Option<Objective>,
    errors_max: Option<f64>,
    rate_min: Option<f64>,
}

impl ObjectivePlan {
    pub(super) fn new(
        part: &ObjectivePart,
        phase: usize,
        operation: Option<usize>,
    ) -> Result<ObjectivePlan, String> {
        let of = |cause: String| format!("objectives of phase \"{}\": {cause}", part.phase);
        let latency = part.latency.as_ref().map(|text| text.parse::<Objective>());
        if part.errors_max.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
            return Err(of("errors_max: expected a part of all, 0 to 1".to_owned()));
        }
        if latency.is_none() && part.errors_max.is_none() && part.rate_min.is_none() {
            return Err(of("expected a latency, errors_max or rate_min".to_owned()));
        }
        Ok(ObjectivePlan {
            phase,
            operation,
            latency: latency.transpose().map_err(of)?,
            errors_max: part.errors_max,
            rate_min: part.rate_min,
        })
    }

    /// The verdicts on what it asks for. What was never answered failed.
    pub(super) fn verdicts(&self, phases: &[PhaseFigures]) -> Vec<Verdict> {
        let Some(phase) = phases.get(self.phase) else {
            return Vec::new();
        };
        let figures = self
            .operation
            .and_then(|operation| phase.operations.get(operation));
        let figures = figures.unwrap_or(&phase.calls);
        let of = format!("{} in {}", figures.name, phase.name);
        let mut verdicts = Vec::new();
        if let Some(objective) = self.latency {
            let found = objective.percentile.of(&figures.latency_us);
            verdicts.push(Verdict {
                objective: format!("{of}: {objective}"),
                found: crate::format::duration(found),
                is_met: figures.answered > 0 && found <= objective.limit_us,
            });
        }
        if let Some(errors_max) = self.errors_max {
            let unanswered = if self.operation.is_none() {
                phase.unanswered
            } else {
                0
            };
            let failed = (figures.errors_total() + unanswered) as f64;
            let part = failed / (figures.answered as f64 + failed).max(1.0);
            verdicts.push(Verdict {
                objective: format!("{of}: at most {errors_max} of them fail"),
                found: format!("{part:.6}, {}", grouped(failed)),
                is_met: part <= errors_max,
            });
        }
        if let Some(rate_min) = self.rate_min {
            verdicts.push(Verdict {
                objective: format!("{of}: at least {} a second", grouped(rate_min)),
                found: grouped(figures.per_second),
                is_met: figures.per_second >= rate_min,
            });
        }
        verdicts
    }
}
