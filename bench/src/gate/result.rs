//! What was measured.

use serde::Serialize;

use super::plan::GatePlan;
use crate::latency::Latency;
use crate::median::median;

/// The figures of one run of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct GateRun {
    /// Clients a second that were connected, and whose first packet was answered.
    pub connects_per_second: f64,
    /// What the resident memory of the process grew by, for each idle client, in bytes; `None` of a target.
    pub memory_bytes_each: Option<f64>,
    /// The part of one processor that the process used while all clients were idle; `None` of a target.
    pub idle_processor: Option<f64>,
    /// Packets that all clients sent, as many each, and that were answered.
    pub packets: u64,
    /// How many of them a second.
    pub packets_per_second: f64,
    /// Packets of the whole run without an answer.
    pub lost: u64,
    /// Answers of the whole run that were not the next ones, or not the same bytes.
    pub wrong: u64,
    /// Clients of the whole run whose connection has ended.
    pub ended: u64,
    /// The first of these faults.
    pub fault: Option<String>,
    /// Packets a second of the closed loop.
    pub echoes_per_second: f64,
    /// Processor time of the server for each of them, in microseconds; `None` of a target.
    pub processor_us_each: Option<f64>,
    /// How long they took, in microseconds.
    pub echo_latency_us: Latency,
    /// The open loop; `None` when it has not been measured yet.
    pub open: Option<OpenFigures>,
}

/// The figures of an open loop.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OpenFigures {
    /// Packets a second that were due.
    pub rate: f64,
    /// From when a packet was due until its answer, in microseconds.
    pub latency_us: Latency,
    /// It gave up, because too many packets had no answer.
    pub has_given_up: bool,
}

/// The runs of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct GateRow {
    /// Its name.
    pub name: &'static str,
    /// Its runs.
    pub runs: Vec<GateRun>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct GateResult {
    /// Clients.
    pub clients: usize,
    /// Those that sent in the loops.
    pub active: usize,
    /// Packets of each of them without an answer, in the closed loop.
    pub in_flight: u32,
    /// Bytes of a packet.
    pub size: usize,
    /// Packets of each client before the loops.
    pub packets_each: u32,
    /// Shards of the gates.
    pub threads: usize,
    /// Whether the clients of the gate were websockets.
    pub is_websocket: bool,
    /// Seconds of each loop.
    pub seconds: f64,
    /// The contenders.
    pub rows: Vec<GateRow>,
}

impl GateRow {
    /// The median of a figure; not a number where it is not known.
    pub fn median(&self, figure: impl Fn(&GateRun) -> f64) -> f64 {
        median(self.runs.iter().map(figure).collect())
    }

    /// The sum of a number over all runs.
    pub fn sum(&self, number: impl Fn(&GateRun) -> u64) -> u64 {
        self.runs.iter().map(number).sum()
    }

    /// Whether every packet was answered, in order, and no client lost.
    pub fn is_clean(&self) -> bool {
        self.sum(|run| run.lost + run.wrong + run.ended) == 0
    }
}

impl GateResult {
    pub(super) fn new(plan: &GatePlan) -> GateResult {
        GateResult {
            clients: plan.clients,
            active: plan.active,
            in_flight: plan.window,
            size: plan.size,
            packets_each: plan.packets_each,
            threads: plan.threads,
            is_websocket: plan.is_websocket,
            seconds: plan.duration.as_secs_f64(),
            rows: Vec::new(),
        }
    }

    /// How many times the packets a second of another contender the first one echoed.
    pub fn ratios(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let first = self
            .rows
            .first()
            .map_or(f64::NAN, |row| row.median(|run| run.echoes_per_second));
        self.rows
            .iter()
            .skip(1)
            .map(move |row| (row.name, first / row.median(|run| run.echoes_per_second)))
    }

    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        // Plain numbers and texts.
        serde_json::to_string(self).unwrap_or_default()
    }
}
