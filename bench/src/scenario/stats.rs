//! What the callers of one shard have counted, for each operation.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::latency;

/// The counts of one operation.
#[derive(Debug, Clone)]
pub(super) struct OperationStats {
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: BTreeMap<&'static str, u64>,
}

impl OperationStats {
    fn new() -> OperationStats {
        OperationStats {
            latencies: latency::histogram(),
            errors: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, other: &OperationStats) {
        // Cannot fail: they have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        for (code, count) in &other.errors {
            *self.errors.entry(code).or_insert(0) += count;
        }
    }
}

/// The counts of a phase.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    pub(super) operations: Vec<OperationStats>,
    /// How many operations were begun, and the sum of their digests.
    pub(super) begun: u64,
    pub(super) digest: u64,
}

impl Stats {
    pub(super) fn new(operations: usize) -> Stats {
        Stats {
            operations: vec![OperationStats::new(); operations],
            begun: 0,
            digest: 0,
        }
    }

    pub(super) fn begin(&mut self, digest: u64) {
        self.begun += 1;
        // A sum does not depend on the order in which shards make their operations.
        self.digest = self.digest.wrapping_add(digest);
    }

    pub(super) fn end(&mut self, operation: usize, outcome: Result<Duration, &'static str>) {
        let Some(stats) = self.operations.get_mut(operation) else {
            return;
        };
        match outcome {
            Ok(latency) => latency::record(&mut stats.latencies, latency),
            Err(code) => *stats.errors.entry(code).or_insert(0) += 1,
        }
    }

    pub(super) fn add(&mut self, other: &Stats) {
        self.begun += other.begun;
        self.digest = self.digest.wrapping_add(other.digest);
        for (mine, theirs) in self.operations.iter_mut().zip(&other.operations) {
            mine.add(theirs);
        }
    }
}
