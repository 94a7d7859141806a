//! What a record measures. The suite is fixed, so that records of different revisions can be compared; another floor, case or
//! length of a measurement is another suite.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::floors::PeerResult;
use crate::format::{duration, grouped};
use crate::measurement::Measurement;

/// The number of the suite that this program measures and shows.
pub const SUITE: u32 = 1;

/// How often each case is measured for a record.
pub const ROUNDS_DEFAULT: u32 = 5;

/// Time of each measurement, and the warm-up before it; of the program and of the floor alike.
pub(super) const MEASURED: Duration = Duration::from_millis(400);
pub(super) const WARM_UP: Duration = Duration::from_millis(200);

/// Size of the value, in bytes.
pub(super) const SIZE: usize = 64;

/// How long spinning shards poll for work before they sleep, in microseconds.
const SPIN_US: u32 = 50;

/// A load that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// As a heading.
    pub(super) title: &'static str,
    pub(super) in_flight: usize,
    pub(super) spin_us: u32,
    /// Whether caller and callee are services in Lua.
    pub(super) is_lua: bool,
    /// What is recorded of it.
    quantities: &'static [Quantity],
}

/// Something that is recorded of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Quantity {
    CallsPerSecond,
    P50,
    P99,
    CpuPerCall,
    SystemCalls,
    Allocations,
    Bytes,
}

use Quantity::{Allocations, Bytes, CallsPerSecond, CpuPerCall, P50, P99, SystemCalls};

const SPEED: &[Quantity] = &[CallsPerSecond, P50, P99, CpuPerCall];
const SPEED_AND_COSTS: &[Quantity] = &[
    CallsPerSecond,
    P50,
    P99,
    CpuPerCall,
    SystemCalls,
    Allocations,
    Bytes,
];

/// The cases.
pub(super) const CASES: [Case; 7] = [
    between_nodes("parking-1", "1 in flight, parking", 1, 0, SPEED_AND_COSTS),
    between_nodes("parking-64", "64 in flight, parking", 64, 0, SPEED),
    between_nodes("parking-256", "256 in flight, parking", 256, 0, SPEED_AND_COSTS),
    between_nodes("spinning-1", "1 in flight, spinning", 1, SPIN_US, SPEED),
    between_nodes("spinning-64", "64 in flight, spinning", 64, SPIN_US, SPEED),
    between_nodes("spinning-256", "256 in flight, spinning", 256, SPIN_US, SPEED),
    Case {
        name: "lua-64",
        title: "64 in flight from Lua to Lua, parking",
        in_flight: 64,
        spin_us: 0,
        is_lua: true,
        quantities: &[CallsPerSecond, P50, CpuPerCall],
    },
];

const fn between_nodes(
    name: &'static str,
    title: &'static str,
    in_flight: usize,
    spin_us: u32,
    quantities: &'static [Quantity],
) -> Case {
    Case {
        name,
        title,
        in_flight,
        spin_us,
        is_lua: false,
        quantities,
    }
}

/// A figure of the suite: a quantity of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) case: Case,
    pub(super) quantity: Quantity,
}

impl Figure {
    /// All of them, in the order in which they are shown.
    pub(super) fn all() -> impl Iterator<Item = Figure> {
        CASES.into_iter().flat_map(|case| {
            let quantities = case.quantities.iter();
            quantities.map(move |quantity| Figure {
                case,
                quantity: *quantity,
            })
        })
    }

    /// Its key in a record.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.case.name, self.quantity.key())
    }
}

impl Quantity {
    fn key(self) -> &'static str {
        match self {
            CallsPerSecond => "calls_per_second",
            P50 => "p50",
            P99 => "p99",
            CpuPerCall => "cpu_per_call",
            SystemCalls => "system_calls",
            Allocations => "allocations",
            Bytes => "bytes",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            CallsPerSecond => "calls/s, times the floor's",
            P50 => "p50, times the floor's",
            P99 => "p99, times the floor's",
            CpuPerCall => "processor time a call, times the floor's",
            SystemCalls => "system calls a call, both sides",
            Allocations => "allocations a call, of the client",
            Bytes => "bytes a call on the wire, both directions",
        }
    }

    /// Whether it is shown as a ratio to the floor.
    pub(super) fn is_ratio(self) -> bool {
        matches!(self, CallsPerSecond | P50 | P99 | CpuPerCall)
    }

    /// Whether a greater one is better.
    pub(super) fn is_better_when_greater(self) -> bool {
        self == CallsPerSecond
    }

    /// The measured value, before any ratio, as people read it.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            CallsPerSecond => format!("{} calls/s", grouped(value)),
            P50 | P99 => duration(value),
            CpuPerCall => format!("{value:.2} us"),
            SystemCalls | Allocations => format!("{value:.3}"),
            Bytes => format!("{value:.1}"),
        }
    }

    /// Its value in a measurement; `None` where it is not known.
    pub(super) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            CallsPerSecond => sample.calls_per_second,
            P50 => sample.p50,
            P99 => sample.p99,
            CpuPerCall => sample.cpu_us_per_call,
            SystemCalls => sample.system_calls,
            Allocations => sample.allocations,
            Bytes => sample.bytes,
        }
    }
}

/// One measurement, of the program or of the floor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) calls_per_second: Option<f64>,
    /// Microseconds, as the next two.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) cpu_us_per_call: Option<f64>,
    pub(super) system_calls: Option<f64>,
    pub(super) allocations: Option<f64>,
    pub(super) bytes: Option<f64>,
}

/// A figure that is not known is 0 in a result.
fn known(value: f64) -> Option<f64> {
    (value > 0.0 && value.is_finite()).then_some(value)
}

impl From<&Measurement> for Sample {
    fn from(measured: &Measurement) -> Sample {
        let costs = &measured.costs;
        let sum = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        Sample {
            calls_per_second: known(measured.calls_per_second),
            p50: known(measured.latency_us.p50),
            p99: known(measured.latency_us.p99),
            cpu_us_per_call: measured
                .cpu_seconds
                .server
                .and_then(|_| known(measured.cpu_us_per_call())),
            system_calls: sum(costs.system_calls.client, costs.system_calls.server),
            allocations: costs.allocations.client,
            bytes: sum(costs.bytes_sent, costs.bytes_received),
        }
    }
}

impl From<&PeerResult> for Sample {
    fn from(result: &PeerResult) -> Sample {
        let cpu = &result.cpu_seconds;
        Sample {
            calls_per_second: known(result.calls_per_second),
            p50: known(result.latency_us.p50),
            p99: known(result.latency_us.p99),
            cpu_us_per_call: cpu
                .server
                .and_then(|server| known((cpu.client + server) * 1e6 / result.calls.max(1) as f64)),
            ..Sample::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::measurement::tests::measurement;

    #[test]
    fn every_figure_has_a_key_and_a_title_of_its_own() {
        let keys: BTreeSet<String> = Figure::all().map(|figure| figure.key()).collect();
        let titles: BTreeSet<_> = Figure::all()
            .map(|figure| (figure.case.title, figure.quantity.title()))
            .collect();
        assert_eq!(keys.len(), Figure::all().count());
        assert_eq!(titles.len(), keys.len());
        assert_eq!(keys.len(), 33);
    }

    #[test]
    fn what_a_result_does_not_know_is_not_known() {
        let sample = Sample::from(&measurement());
        assert_eq!(sample.p50.map(f64::round), Some(500.0));
        assert_eq!(sample.cpu_us_per_call, None);
        assert_eq!((sample.system_calls, sample.bytes), (None, None));
    }
}
