//! Counts the costs of the calls of a running load.

use std::time::{Duration, Instant};

use super::allocations::allocations;
use super::result::{CallCosts, Sides};
use super::thread_counters::{Counted, ThreadCounters};
use super::wire::bytes_of;

/// Everything that was counted until one moment.
struct Moment {
    calls: u64,
    /// For each thing that is counted: of the client, and of the server.
    counts: Vec<(Option<u64>, Option<u64>)>,
    bytes: Option<(u64, u64)>,
    allocations: Option<u64>,
}

/// Counts between two moments of a load. Nothing is read between them, so that reading does not count itself.
pub(crate) struct CostCounter {
    started: Instant,
    begins_after: Duration,
    ends_after: Duration,
    client: u32,
    counters: Vec<(Option<ThreadCounters>, Option<ThreadCounters>)>,
    missing: Vec<String>,
    first: Option<Moment>,
    last: Option<Moment>,
}

impl CostCounter {
    /// Opens the counters of this process, without those of this thread, and of the server. The moments are those after the
    /// two times.
    pub(crate) fn open(server: Option<u32>, begins_after: Duration, ends_after: Duration) -> CostCounter {
        let client = std::process::id();
        let (mut counters, mut missing) = (Vec::new(), Vec::<String>::new());
        let mut note = |what: &str, reason: String| {
            let line = format!("{what}: {reason}");
            if !missing.contains(&line) {
                missing.push(line);
            }
        };
        for counted in Counted::ALL {
            let what = match counted {
                Counted::SystemCalls => "system calls",
                _ => "cycles, instructions and misses",
            };
            let mut open = |process: u32| match ThreadCounters::open(process, counted) {
                Ok(counters) => Some(counters),
                Err(reason) => {
                    note(what, reason);
                    None
                }
            };
            counters.push((open(client), server.and_then(open)));
        }
        if allocations().is_none() {
            note(
                "allocations",
                "this program's allocator does not count them".to_owned(),
            );
        }
        if let Err(error) = bytes_of(client) {
            note("bytes", error.to_string());
        }
        CostCounter {
            started: Instant::now(),
            begins_after,
            ends_after,
            client,
            counters,
            missing,
            first: None,
            last: None,
        }
    }

    /// Takes the counts if it is time for them, when the load has made that many calls.
    pub(crate) fn observe(&mut self, calls: u64) {
        let elapsed = self.started.elapsed();
        if self.first.is_none() && elapsed >= self.begins_after {
            // The bytes first: finding the sockets takes system calls.
            let bytes = bytes_of(self.client).ok();
            let moment = self.read(calls);
            self.first = Some(Moment { bytes, ..moment });
        } else if self.last.is_none() && elapsed >= self.ends_after {
            let moment = self.read(calls);
            let bytes = bytes_of(self.client).ok();
            self.last = Some(Moment { bytes, ..moment });
        }
    }

    fn read(&mut self, calls: u64) -> Moment {
        let read = |counters: &mut Option<ThreadCounters>| counters.as_mut().and_then(ThreadCounters::read);
        let counts = self.counters.iter_mut();
        Moment {
            calls,
            counts: counts
                .map(|(client, server)| (read(client), read(server)))
                .collect(),
            bytes: None,
            allocations: allocations(),
        }
    }

    /// The costs of a call between the first and the last moment.
    pub(crate) fn finish(self) -> CallCosts {
        let mut costs = CallCosts {
            missing: self.missing,
            ..CallCosts::default()
        };
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return costs;
        };
        let calls = last.calls.saturating_sub(first.calls);
        costs.calls = calls;
        if calls == 0 {
            return costs;
        }
        let each = |before: Option<u64>, after: Option<u64>| {
            let (before, after) = before.zip(after)?;
            Some(after.saturating_sub(before) as f64 / calls as f64)
        };
        let counts = first.counts.iter().zip(&last.counts);
        for (counted, (before, after)) in Counted::ALL.iter().zip(counts) {
            let sides = Sides {
                client: each(before.0, after.0),
                server: each(before.1, after.1),
            };
            match counted {
                Counted::SystemCalls => costs.system_calls = sides,
                Counted::Cycles => costs.cycles = sides,
                Counted::Instructions => costs.instructions = sides,
                Counted::CacheMisses => costs.cache_misses = sides,
                Counted::BranchMisses => costs.branch_misses = sides,
            }
        }
        costs.allocations.client = each(first.allocations, last.allocations);
        costs.bytes_sent = each(first.bytes.map(|bytes| bytes.0), last.bytes.map(|bytes| bytes.0));
        costs.bytes_received = each(first.bytes.map(|bytes| bytes.1), last.bytes.map(|bytes| bytes.1));
        costs
    }
}
