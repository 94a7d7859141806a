//! A measurement with all that is needed to judge it: figures, settings, machine and floors.
//!
//! As JSON it is one object. The fields `calls_per_second`, `latency_us`, `errors`, `in_flight`, `channels`, `size`,
//! `cpu_seconds` and `machine` come first; the others describe how it was made.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::blocking_echo::Floor;
use crate::costs::CallCosts;
use crate::cpu::CpuSeconds;
use crate::floors::PeerResult;
use crate::latency::Latency;
use crate::load::{LoadModel, LoadResult, Rate};
use crate::machine::Machine;
use crate::objective::Objective;
use crate::unrest::Unrest;

/// The figures of a load, with its settings and its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Calls that were answered, a second.
    pub calls_per_second: f64,
    /// How long they took; in an open loop since they were due.
    pub latency_us: Latency,
    /// Calls that failed.
    pub errors: u64,
    /// Calls in flight; in an open loop the most.
    pub in_flight: usize,
    /// Channels to the called node.
    pub channels: u32,
    /// Size of the value, in bytes.
    pub size: usize,
    /// Processor time of both processes in the measured time.
    pub cpu_seconds: CpuSeconds,
    /// The machine.
    pub machine: Machine,
    /// The settings.
    #[serde(flatten)]
    pub settings: Settings,
    /// Calls that were answered in the measured time.
    #[serde(default)]
    pub calls: u64,
    /// Calls that failed, by the code of their error.
    #[serde(default)]
    pub errors_by_code: BTreeMap<String, u64>,
    /// The most calls of an open loop that were due and could not begin.
    #[serde(default)]
    pub backlog_max: u64,
    /// Calls of an open loop that were never answered.
    #[serde(default)]
    pub unanswered: u64,
    /// What the machine did by itself; `None` when that was not measured.
    #[serde(default)]
    pub unrest: Option<Unrest>,
    /// What a call costs beside time.
    #[serde(default)]
    pub costs: CallCosts,
    /// The search for the highest rate, if there was one.
    #[serde(default)]
    pub search: Option<Search>,
    /// The floors that were measured beside it.
    #[serde(default)]
    pub floors: Vec<FloorFigures>,
    /// The data of the charts, which are not written as JSON.
    #[serde(skip)]
    pub chart_data: Option<ChartData>,
}

/// The settings of a measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The measured time, in seconds.
    pub seconds: f64,
    /// The warm-up before it, in seconds.
    pub warmup_seconds: f64,
    /// Calls a second of an open loop; `None` in a closed loop.
    pub rate: Option<f64>,
    /// Shards of each side.
    pub threads: usize,
    /// Different keys of the calls; 0 = none.
    pub keys: usize,
    /// How long shards poll for work before they sleep, in microseconds.
    pub spin_us: u32,
    /// What runs the shards: `uring` or `glommio`.
    pub runtime: String,
    /// The dialect of the calling node: `auto` or `skynet`.
    pub dialect: String,
    /// The called node and service, or the target and what it is asked.
    pub called: String,
    /// The protocol of a target that is no node, as its URL begins; empty for a node.
    pub target: String,
    /// The processors of the server's shards; empty when the server was running already.
    pub server_cpus: Vec<usize>,
    /// The processors of the client's shards.
    pub client_cpus: Vec<usize>,
}

/// A search for the highest rate that meets an objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The objective.
    pub objective: Objective,
    /// The highest rate that met it.
    #[serde(default)]
    pub met: Option<f64>,
    /// The lowest rate that was given up; `None` when there is none.
    #[serde(default)]
    pub missed: Option<f64>,
    /// The trials, in their order.
    pub trials: Vec<Trial>,
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Calls a second of the trial.
    pub rate: f64,
    /// Calls a second that were answered.
    pub calls_per_second: f64,
    /// The latency at the objective's percentile.
    pub latency_us: f64,
    /// Whether the objective was met.
    pub met: bool,
}

/// The figures of a floor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FloorFigures {
    /// Its name.
    pub name: String,
    /// Calls a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// Calls in flight.
    pub in_flight: usize,
    /// Size of the value.
    pub size: usize,
    /// What is not equal to Skyring.
    pub note: String,
}

/// The data of the charts.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartData {
    /// Every call: nanoseconds.
    pub latencies: Histogram<u64>,
    /// Calls a second, over time.
    pub rates: Vec<Rate>,
    /// Round trips of the blocking echo: nanoseconds.
    pub floor: Option<Histogram<u64>>,
}

impl Measurement {
    /// Makes a measurement of a load's result and its settings.
    pub fn new(load: LoadResult, channels: u32, mut settings: Settings) -> Measurement {
        settings.seconds = load.seconds;
        settings.rate = match load.model {
            LoadModel::Closed => None,
            LoadModel::Open(rate) => Some(rate),
        };
        Measurement {
            calls_per_second: load.calls_per_second,
            latency_us: load.latency_us,
            errors: load.errors_total(),
            in_flight: load.in_flight,
            channels,
            size: load.size,
            cpu_seconds: load.cpu_seconds,
            machine: Machine::this(),
            settings,
            calls: load.calls,
            errors_by_code: load
                .errors
                .iter()
                .map(|(code, count)| ((*code).to_owned(), *count))
                .collect(),
            backlog_max: load.backlog_max,
            unanswered: load.unanswered,
            unrest: None,
            costs: CallCosts::default(),
            search: None,
            floors: Vec::new(),
            chart_data: Some(ChartData {
                latencies: load.latencies,
                rates: load.rates,
                floor: None,
            }),
        }
    }

    /// Adds the blocking echo, whose latencies are in the chart beside those of the calls.
    pub fn add_echo(&mut self, echo: Floor) {
        self.floors.push(FloorFigures {
            name: "blocking TCP echo".to_owned(),
            calls_per_second: echo.calls_per_second,
            latency_us: echo.latency_us,
            in_flight: 1,
            size: echo.size,
            note: "two plain blocking sockets: no headers, no callee; never spins".to_owned(),
        });
        if let Some(data) = &mut self.chart_data {
            data.floor = Some(echo.latencies);
        }
    }

    /// Adds another floor.
    pub fn add_floor(&mut self, name: &str, floor: PeerResult) {
        self.floors.push(FloorFigures {
            name: name.to_owned(),
            calls_per_second: floor.calls_per_second,
            latency_us: floor.latency_us,
            in_flight: floor.in_flight,
            size: floor.size,
            note: floor.note,
        });
    }

    /// Processor time of both sides for a call, in microseconds; of the client's alone when the server's is not
    /// known.
    pub fn cpu_us_per_call(&self) -> f64 {
        let seconds = self.cpu_seconds.client + self.cpu_seconds.server.unwrap_or(0.0);
        seconds * 1e6 / self.calls.max(1) as f64
    }

    /// The measurement as one line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(&Rounded::of(self)).unwrap_or_default()
    }

    /// A measurement that was written as JSON.
    ///
    /// # Errors
    /// A text with the cause.
    pub fn from_json(text: &str) -> Result<Measurement, String> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if value.get("groups").is_some() {
            return Err(
                "it is a table of skyring bench peers; only results of skyring bench can be compared"
                    .to_owned(),
            );
        }
        serde_json::from_value(value).map_err(|error| format!("it is not a result of skyring bench: {error}"))
    }
}

/// A measurement whose figures are rounded to their precision.
struct Rounded;

impl Rounded {
    fn of(measurement: &Measurement) -> Measurement {
        let mut rounded = measurement.clone();
        let to = |number: f64, places: i32| {
            let scale = 10f64.powi(places);
            (number * scale).round() / scale
        };
        let latency = |latency: Latency| Latency {
            p50: to(latency.p50, 3),
            p90: to(latency.p90, 3),
            p99: to(latency.p99, 3),
            p999: to(latency.p999, 3),
            max: to(latency.max, 3),
        };
        rounded.calls_per_second = to(rounded.calls_per_second, 1);
        rounded.latency_us = latency(rounded.latency_us);
        rounded.cpu_seconds.client = to(rounded.cpu_seconds.client, 6);
        rounded.cpu_seconds.server = rounded.cpu_seconds.server.map(|seconds| to(seconds, 6));
        rounded.settings.seconds = to(rounded.settings.seconds, 3);
        rounded.settings.rate = rounded.settings.rate.map(|rate| to(rate, 1));
        rounded.costs = rounded.costs.rounded();
        rounded.unrest = rounded.unrest.map(|unrest| unrest.rounded());
        for floor in &mut rounded.floors {
            floor.calls_per_second = to(floor.calls_per_second, 1);
            floor.latency_us = latency(floor.latency_us);
        }
        if let Some(search) = &mut rounded.search {
            search.met = search.met.map(|rate| to(rate, 1));
            search.missed = search.missed.map(|rate| to(rate, 1));
        }
        for trial in rounded.search.iter_mut().flat_map(|search| &mut search.trials) {
            trial.rate = to(trial.rate, 1);
            trial.calls_per_second = to(trial.calls_per_second, 1);
            trial.latency_us = to(trial.latency_us, 3);
        }
        rounded
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::histogram;

    /// A measurement of 1,000 calls that took 1 to 1,000 microseconds.
    pub(crate) fn measurement() -> Measurement {
        let mut latencies = histogram();
        for microseconds in 1..=1_000u64 {
            latencies.saturating_record(microseconds * 1_000);
        }
        let load = LoadResult {
            calls: 1_000,
            calls_per_second: 500.0 + 1.0 / 3.0,
            latency_us: Latency::of(&latencies),
            latencies,
            errors: [("timeout", 2), ("unreachable", 1)].into(),
            model: LoadModel::Open(500.0),
            in_flight: 4,
            backlog_max: 3,
            unanswered: 1,
            rates: (1..=20u32)
                .map(|tenth| Rate {
                    seconds: Duration::from_millis(100).as_secs_f64() * f64::from(tenth),
                    calls_per_second: 500.0 + f64::from(tenth),
                })
                .collect(),
            size: 64,
            seconds: 2.0,
            cpu_seconds: CpuSeconds {
                client: 1.5,
                server: None,
            },
        };
        let settings = Settings {
            warmup_seconds: 1.0,
            threads: 1,
            dialect: "auto".to_owned(),
            called: "server @echo".to_owned(),
            server_cpus: vec![0],
            client_cpus: vec![1],
            ..Settings::default()
        };
        Measurement::new(load, 1, settings)
    }

    #[test]
    fn a_measurement_is_one_line_of_json_with_the_promised_fields() {
        let json = measurement().to_json();
        assert!(!json.contains('\n'), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        for field in ["channels", "in_flight", "size", "errors", "calls_per_second"] {
            assert!(value[field].is_number(), "{field} in {json}");
        }
        for field in ["p50", "p90", "p99", "p999", "max"] {
            assert!(
                value["latency_us"][field].as_f64().unwrap() > 0.0,
                "{field} in {json}"
            );
        }
        assert_eq!(value["errors"], 3);
        assert_eq!(value["errors_by_code"]["timeout"], 2);
        assert_eq!(value["calls_per_second"], 500.3);
        assert_eq!(value["cpu_seconds"]["client"], 1.5);
        assert!(value["cpu_seconds"]["server"].is_null());
        assert!(value["machine"]["processors"].as_u64().unwrap() > 0);
        assert_eq!(value["rate"], 500.0);
    }

    #[test]
    fn a_measurement_is_read_as_it_was_written() {
        let json = measurement().to_json();
        let read = Measurement::from_json(&json).unwrap();
        assert_eq!(read.to_json(), json);
        assert_eq!(read.chart_data, None);
    }

    #[test]
    fn a_text_that_is_no_measurement_is_an_error_with_the_cause() {
        for (text, cause) in [
            ("hello", "not JSON"),
            ("{}", "missing field `calls_per_second`"),
            ("[]", "not a result of skyring bench"),
            (r#"{"size":64,"groups":[]}"#, "skyring bench peers"),
        ] {
            let error = Measurement::from_json(text).unwrap_err();
            assert!(error.contains(cause), "{error}");
        }
    }
}
