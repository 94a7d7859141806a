//! What the machine does by itself during a comparison.
//!
//! While pairs are measured, the kernel's counters tell. Between two starts of both sides, when none of our programs runs, a
//! loop on each processor that they use reads the clock. So the loops are spread over the whole comparison, and disturb none
//! of its windows.

use std::time::Duration;

use super::side::RunningSide;
use crate::cpu::allowed_cpus;
use crate::latency::Latency;
use crate::measurement::Measurement;
use crate::unrest::{Gaps, Unrest, Watch, Watched, measure_gaps};
use crate::verdict::{Figure, FigureResult};

/// How long the loops run after each start of both sides, and on how many processors at most.
const LOOP_TIME: Duration = Duration::from_millis(100);
const PROCESSORS_MAX: usize = 16;

/// What was seen so far.
#[derive(Default)]
pub(super) struct MachineWatch {
    gaps: Vec<Gaps>,
    watched: Option<Watched>,
    /// The processors that both sides use.
    cpus: Vec<usize>,
    /// Calls in flight of a closed loop; `None` in an open one.
    in_flight: Option<usize>,
}

impl MachineWatch {
    /// Begins to watch while both sides measure.
    pub(super) fn begin(sides: Option<&[RunningSide; 2]>) -> Watch {
        let mut processes = vec![std::process::id()];
        for side in sides.into_iter().flatten() {
            let side = side.processes();
            if side.servers.is_empty() {
                // A server that runs anyway is not known, and would count as another program.
                return Watch::start(Vec::new());
            }
            processes.push(side.client);
            processes.extend(side.servers);
        }
        Watch::start(if sides.is_some() { processes } else { Vec::new() })
    }

    /// Notes what a window says about the processors and the loop of both sides.
    pub(super) fn note(&mut self, measured: &Measurement) {
        let settings = &measured.settings;
        self.in_flight = settings.rate.is_none().then_some(measured.in_flight);
        if self.cpus.is_empty() {
            self.cpus.extend(&settings.server_cpus);
            self.cpus.extend(&settings.client_cpus);
        }
    }

    /// Adds what the kernel counted.
    pub(super) fn add(&mut self, watched: Watched) {
        self.watched = Some(match self.watched.take() {
            Some(before) => before.and(watched),
            None => watched,
        });
    }

    /// Reads the clock for a while; no side may run meanwhile.
    pub(super) fn read_clock(&mut self) {
        let allowed = allowed_cpus().unwrap_or_default();
        let used = allowed.iter().filter(|cpu| self.cpus.contains(cpu));
        let mut cpus: Vec<usize> = used.copied().collect();
        if cpus.is_empty() {
            cpus = allowed;
        }
        cpus.truncate(PROCESSORS_MAX);
        // A loop that cannot be started is missing in the result, which is about the programs.
        self.gaps.extend(measure_gaps(&cpus, LOOP_TIME));
    }

    /// What it says about these figures.
    pub(super) fn unrest(&self, figures: &[FigureResult]) -> Unrest {
        let of = |figure, side: fn(&FigureResult) -> f64| {
            let result = figures.iter().find(|result| result.figure == figure);
            // A percentile that was not measured compares with nothing, so nothing explains it.
            result.map_or(f64::NAN, side)
        };
        let latency = |side: fn(&FigureResult) -> f64| Latency {
            p50: of(Figure::P50, side),
            p90: f64::NAN,
            p99: of(Figure::P99, side),
            p999: of(Figure::P999, side),
            max: f64::NAN,
        };
        let sides: [fn(&FigureResult) -> f64; 2] = [|result| result.first, |result| result.second];
        let calls_per_second = of(Figure::CallsPerSecond, sides[0]);
        let closed = self
            .in_flight
            .filter(|_| calls_per_second.is_finite())
            .map(|in_flight| (in_flight, calls_per_second));
        Unrest::around_pairs(
            &self.gaps,
            self.watched.unwrap_or_default(),
            closed,
            sides.map(latency),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Finding;

    #[test]
    fn a_percentile_that_was_not_measured_is_not_explained() {
        let mut watch = MachineWatch::default();
        watch.read_clock();
        let unrest = watch.unrest(&[]);
        assert!(unrest.explains.is_empty(), "{unrest:?}");
        let result = |figure, value| FigureResult {
            figure,
            first: value,
            second: value,
            ratio: 1.0,
            low: None,
            high: None,
            spread_percent: 0.0,
            finding: Finding::Unclear,
        };
        // No machine explains a p99 of an hour.
        let unrest = watch.unrest(&[result(Figure::P50, 10.0), result(Figure::P99, 3.6e9)]);
        assert!(unrest.explains.is_empty(), "{unrest:?}");
        assert!(
            unrest.away_percent >= 0.0 && unrest.other_percent.is_none(),
            "{unrest:?}"
        );
    }
}
