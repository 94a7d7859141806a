//! The result of a ledger: outcomes, violations, recoveries and latencies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::violations::Violations;
use crate::latency::Latency;

/// The outcomes of calls so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that failed, by the code of their error.
    pub failed: BTreeMap<&'static str, u64>,
    /// Failed calls whose error says that they may have run.
    pub may_have_run: u64,
    /// Calls that were due and not made, because their caller had too many in flight.
    pub held_back: u64,
}

impl LedgerCounts {
    /// All calls that failed.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// The result of a ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerResult {
    /// Calls that were made.
    pub calls: u64,
    /// Their outcomes.
    pub counts: LedgerCounts,
    /// Failed calls that are in a journal; their errors said that they may have run.
    pub ran_though_failed: u64,
    /// Idempotent calls that were run more than once.
    pub repeated: u64,
    /// The broken promises.
    pub violations: Violations,
    /// How soon calls were answered after faults.
    pub recoveries: Recoveries,
    /// The most calls that a callee ran within 5 ms.
    pub burst_max: u64,
    /// How long the answered calls took.
    pub latency_us: Latency,
    /// The time in which calls were made, in seconds.
    pub seconds: f64,
}

/// How soon calls are answered after faults of a callee.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recoveries {
    /// The number of faults.
    pub count: u64,
    /// The longest time from a fault until a call that began after it was answered.
    pub longest: Duration,
}

impl LedgerResult {
    /// One JSON object, on one line.
    pub fn to_json(&self) -> String {
        let mut failed = String::new();
        for (code, count) in &self.counts.failed {
            let comma = if failed.is_empty() { "" } else { "," };
            let _ = write!(failed, r#"{comma}"{code}":{count}"#);
        }
        let mut violations = String::new();
        for (name, count) in self.violations.counts() {
            let comma = if violations.is_empty() { "" } else { "," };
            let _ = write!(violations, r#"{comma}"{}":{count}"#, name.replace(' ', "_"));
        }
        format!(
            r#"{{"calls":{},"answered":{},"failed":{{{failed}}},"may_have_run":{},"ran_though_failed":{},"repeated":{},"held_back":{},"recovery_ms_max":{:.3},"burst_max":{},"violations":{{{violations}}},"latency_us":{},"seconds":{:.3}}}"#,
            self.calls,
            self.counts.answered,
            self.counts.may_have_run,
            self.ran_though_failed,
            self.repeated,
            self.counts.held_back,
            self.recoveries.longest.as_secs_f64() * 1_000.0,
            self.burst_max,
            self.latency_us.to_json(),
            self.seconds,
        )
    }
}
