//! The result of a load: that of each shard, and all of them merged.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::rates::Rate;
use super::settings::{LoadModel, Schedule};
use crate::cpu::CpuSeconds;
use crate::latency::{self, Latency};

/// The figures of one shard.
pub(super) struct ShardResult {
    pub(super) calls: u64,
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) backlog_max: u64,
    pub(super) unanswered: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: CpuSeconds,
}

/// The figures of a load.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadResult {
    /// Calls that were answered in the measured time.
    pub calls: u64,
    /// The same a second.
    pub calls_per_second: f64,
    /// How long they took.
    pub latency_us: Latency,
    /// The same with every call: nanoseconds. In an open loop those are the calls that were due in the measured time;
    /// calls that were never answered count with the time that they had waited.
    pub latencies: Histogram<u64>,
    /// Calls that failed, by the code of their error.
    pub errors: BTreeMap<&'static str, u64>,
    /// When calls began.
    pub model: LoadModel,
    /// Calls in flight.
    pub in_flight: usize,
    /// The most calls of an open loop that were due and could not begin, because so many were in flight.
    pub backlog_max: u64,
    /// Calls of an open loop that were not answered before the end of the drain.
    pub unanswered: u64,
    /// Answered calls a second over time, the warm-up included.
    pub rates: Vec<Rate>,
    /// Size of the value, in bytes.
    pub size: usize,
    /// The measured time.
    pub seconds: f64,
    /// The processor time that was used.
    pub cpu_seconds: CpuSeconds,
}

impl LoadResult {
    /// All calls that failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The result of all shards.
    pub(super) fn merge(schedule: &Schedule, rates: Vec<Rate>, shards: Vec<ShardResult>) -> LoadResult {
        let mut latencies = latency::histogram();
        let mut errors = BTreeMap::new();
        let (mut calls, mut calls_per_second, mut seconds) = (0, 0.0, 0f64);
        let (mut backlog_max, mut unanswered) = (0, 0);
        let mut cpu_seconds = CpuSeconds::default();
        for shard in shards {
            calls += shard.calls;
            calls_per_second += shard.calls as f64 / shard.seconds;
            backlog_max += shard.backlog_max;
            unanswered += shard.unanswered;
            // Cannot fail: they have the same bounds.
            let _ = latencies.add(&shard.latencies);
            for (code, count) in shard.errors {
                *errors.entry(code).or_insert(0) += count;
            }
            seconds = seconds.max(shard.seconds);
            // Each shard measures the whole process; the windows differ by less than a millisecond.
            if shard.cpu_seconds.client >= cpu_seconds.client {
                cpu_seconds = shard.cpu_seconds;
            }
        }
        LoadResult {
            calls,
            calls_per_second,
            latency_us: Latency::of(&latencies),
            latencies,
            errors,
            model: schedule.model,
            backlog_max,
            unanswered,
            rates,
            in_flight: schedule.in_flight,
            size: schedule.size,
            seconds,
            cpu_seconds,
        }
    }
}
