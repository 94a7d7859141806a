//! The figures of a measurement that verdicts are about.

use serde::{Deserialize, Serialize};

use crate::format::{duration, grouped};
use crate::measurement::Measurement;

/// A figure that two measurements are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Answered calls a second.
    CallsPerSecond,
    /// The median latency.
    P50,
    /// The latency that 99 of a hundred calls do not exceed.
    P99,
    /// The latency that 999 of a thousand calls do not exceed.
    P999,
    /// Processor time of both sides for a call.
    CpuPerCall,
}

impl Figure {
    /// All of them.
    pub const ALL: [Figure; 5] = [
        Figure::CallsPerSecond,
        Figure::P50,
        Figure::P99,
        Figure::P999,
        Figure::CpuPerCall,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Figure::CallsPerSecond => "calls/s",
            Figure::P50 => "p50",
            Figure::P99 => "p99",
            Figure::P999 => "p99.9",
            Figure::CpuPerCall => "CPU/call",
        }
    }

    /// The figure with that name.
    pub fn named(name: &str) -> Option<Figure> {
        Figure::ALL.into_iter().find(|figure| figure.name() == name)
    }

    /// Whether a greater figure is the better one.
    pub fn is_better_when_greater(self) -> bool {
        self == Figure::CallsPerSecond
    }

    /// Its value: calls a second, or microseconds.
    pub fn of(self, measured: &Measurement) -> f64 {
        match self {
            Figure::CallsPerSecond => measured.calls_per_second,
            Figure::P50 => measured.latency_us.p50,
            Figure::P99 => measured.latency_us.p99,
            Figure::P999 => measured.latency_us.p999,
            Figure::CpuPerCall => measured.cpu_us_per_call(),
        }
    }

    /// A value as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Figure::CallsPerSecond => grouped(value),
            Figure::CpuPerCall => format!("{value:.3} us"),
            _ => duration(value),
        }
    }
}
