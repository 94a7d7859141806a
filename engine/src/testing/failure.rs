//! A failure of a run: its report, and how it is shortened.

use std::fmt;
use std::time::Duration;

use super::run::{Kept, Outcome, run};
use super::scenario::Scenario;
use super::trace::TraceEntry;
use super::world::Violation;

/// Runs that shortening takes at most.
const RUNS_MAX: usize = 400;

/// Entries of the trace in a report.
const SHOWN_MAX: usize = 24;

/// A run in which something did not hold, with only the faults and operations that it needs.
#[derive(Debug, Clone)]
pub struct Failure {
    scenario: String,
    seed: u64,
    violation: Violation,
    /// When the set-up had ended.
    began: Duration,
    faults: (Vec<String>, usize),
    operations: (usize, usize),
    trace: Vec<TraceEntry>,
    /// The same seed gave different runs.
    is_repeatable: bool,
    /// The name of the test.
    test: Option<String>,
}

impl Failure {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What does not hold.
    pub fn what(&self) -> &str {
        &self.violation.what
    }

    /// Why not.
    pub fn why(&self) -> &str {
        &self.violation.why
    }

    /// When it did not, in virtual time.
    pub fn time(&self) -> Duration {
        self.violation.time
    }

    /// The faults that it needs.
    pub fn faults(&self) -> &[String] {
        &self.faults.0
    }

    /// How many operations it needs.
    pub fn operations(&self) -> usize {
        self.operations.0
    }

    /// Whether the same seed gave the same run again. If not, something outside the simulation decides what happens; see
    /// the chapter "Testing services".
    pub fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// What happened in it, after the set-up.
    pub fn trace(&self) -> Vec<TraceEntry> {
        let after = self.trace.iter().filter(|entry| entry.time > self.began);
        after.cloned().collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { what, why, .. } = &self.violation;
        writeln!(formatter, "{}: {what}: {why}", self.scenario)?;
        writeln!(
            formatter,
            "with seed {}, {} of {} faults and {} of {} operations:",
            self.seed,
            self.faults.0.len(),
            self.faults.1,
            self.operations.0,
            self.operations.1
        )?;
        let trace = self.trace();
        let hidden = trace.len().saturating_sub(SHOWN_MAX);
        if hidden > 0 {
            writeln!(formatter, "    … {hidden} earlier entries")?;
        }
        for entry in &trace[hidden..] {
            writeln!(formatter, "{entry}")?;
        }
        if !self.is_repeatable {
            writeln!(
                formatter,
                "The same seed gave another run: something outside the simulation decides, such as the clock or a HashMap."
            )?;
        }
        let test = self.test.as_deref().unwrap_or_default();
        write!(
            formatter,
            "again: SKYRING_TEST_SEED={} cargo test {test}",
            self.seed
        )
    }
}

/// Finds out which faults and operations a failure needs, by leaving out as many as possible.
pub(super) fn shorten(scenario: &Scenario, seed: u64, failed: &Outcome) -> Failure {
    let what = failed.violation.as_ref().map(|violation| violation.what.clone());
    let faults = failed.faults.len();
    let again = run(scenario, seed, &Kept::default(), true);
    let is_repeatable = again.fingerprint == failed.fingerprint && again.violation == failed.violation;
    let mut kept = vec![true; faults + failed.operations];
    let split = |kept: &[bool]| Kept {
        faults: kept[..faults].to_vec(),
        operations: kept[faults..].to_vec(),
    };
    let mut runs = 0;
    let mut fails = |kept: &[bool]| {
        runs += 1;
        if runs > RUNS_MAX {
            return false;
        }
        let outcome = run(scenario, seed, &split(kept), false);
        outcome.violation.map(|violation| violation.what) == what
    };
    let mut size = kept.len().div_ceil(2);
    while is_repeatable && size > 0 {
        let mut is_shorter = false;
        for start in (0..kept.len()).step_by(size) {
            let end = (start + size).min(kept.len());
            if !kept[start..end].contains(&true) {
                continue;
            }
            let mut without = kept.clone();
            without[start..end].fill(false);
            if fails(&without) {
                kept = without;
                is_shorter = true;
            }
        }
        // Once more with single ones, for as long as that helps.
        size = match size {
            1 if is_shorter => 1,
            size => size / 2,
        };
    }
    let short = split(&kept);
    let shortest = match is_repeatable {
        true => run(scenario, seed, &short, true),
        false => again,
    };
    let kept_faults = shortest
        .faults
        .iter()
        .zip(&short.faults)
        .filter(|(_, kept)| **kept);
    let violation = shortest.violation.or_else(|| failed.violation.clone());
    Failure {
        scenario: scenario.name.clone(),
        seed,
        violation: violation.unwrap_or(Violation {
            what: "the run repeats".to_owned(),
            why: "it did not".to_owned(),
            time: Duration::ZERO,
        }),
        began: shortest.began,
        faults: (kept_faults.map(|(fault, _)| fault.to_string()).collect(), faults),
        operations: (
            short.operations.iter().filter(|kept| **kept).count(),
            failed.operations,
        ),
        trace: shortest.trace,
        is_repeatable,
        test: std::thread::current()
            .name()
            .filter(|name| *name != "main")
            .map(str::to_owned),
    }
}
