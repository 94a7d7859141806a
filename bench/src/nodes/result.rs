//! What was measured, as JSON and as lines of text.

use serde::Serialize;

use crate::format::grouped;
use crate::machine::Machine;
use crate::median::median;

/// The middle and the largest of the figures of all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(figures: Vec<f64>) -> Spread {
        Spread {
            max: figures.iter().copied().fold(f64::NAN, f64::max),
            median: median(figures),
        }
    }
}

/// How often nodes tried to connect.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Retries {
    /// Connections that all nodes accepted.
    pub accepted: u64,
    /// Attempts of all nodes that failed.
    pub failed: u64,
    /// The most of both in a second.
    pub per_second_max: f64,
    /// The most failed attempts of one node, for each node that it had lost.
    pub failed_per_lost_node_max: f64,
    /// As many there can be in that time if each pause is the shortest that is promised.
    pub failed_per_lost_node_bound: u64,
}

impl Retries {
    /// Whether some node tried more often than is promised.
    pub fn is_above_bound(&self) -> bool {
        self.failed_per_lost_node_max > self.failed_per_lost_node_bound as f64
    }
}

/// All nodes started at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    /// Until the last process said that it runs and is published.
    pub ready_seconds: f64,
    /// Until each node was connected to each other.
    pub met_seconds: f64,
    /// Connections meanwhile; lost nodes are none, so the bound is that of one.
    pub connects: Retries,
}

/// One node killed with SIGKILL under calls, and started again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Killed {
    /// Until a node knew that it is down.
    pub known_seconds: Spread,
    /// From the start of its new process until each was connected to it, and it to each.
    pub met_again_seconds: f64,
    /// Calls of all nodes meanwhile.
    pub calls: u64,
    /// Calls to it that failed.
    pub failed_to_it: u64,
    /// Calls between others that failed.
    pub failed_to_others: u64,
    /// Attempts to reach it.
    pub connects: Retries,
}

/// The network parted into two halves under calls, and whole again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parted {
    /// Until a node knew of each of the other half that it is down.
    pub known_seconds: Spread,
    /// How long it was parted.
    pub seconds: f64,
    /// From its end until each was connected to each again.
    pub met_again_seconds: f64,
    /// Calls of all nodes meanwhile.
    pub calls: u64,
    /// Calls across that failed.
    pub failed_across: u64,
    /// Calls within a half that failed.
    pub failed_within: u64,
    /// Attempts while it was parted.
    pub connects: Retries,
    /// Connections accepted, and attempts failed, in the busiest second after it.
    pub connects_per_second_max_after: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodesResult {
    /// How many nodes.
    pub nodes: u32,
    /// Shards of each.
    pub threads: u32,
    /// `etcd`, or `a watched map file`.
    pub found_by: String,
    /// The lease in etcd, in seconds.
    pub lease_s: u32,
    /// After how long without a sign of life a node is down.
    pub down_after_ms: u64,
    /// The machine.
    pub machine: Machine,
    /// The start.
    pub start: Growth,
    /// Resident memory of each node, in bytes.
    pub resident_bytes: Spread,
    /// The same, with memory that processes share divided among them.
    pub proportional_bytes: Spread,
    /// How long they were left alone.
    pub idle_seconds: f64,
    /// Processor time of each meanwhile, in percent of one processor.
    pub idle_processor_percent: Spread,
    /// That of etcd.
    pub etcd_processor_percent: Option<f64>,
    /// A node killed.
    pub killed: Killed,
    /// The network parted.
    pub parted: Option<Parted>,
    /// Why it was not.
    pub not_parted_because: Option<String>,
}

impl NodesResult {
    /// As JSON, on one line.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What was promised and is not so, if anything.
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.killed.failed_to_others > 0 {
            broken.push(format!(
                "{} calls to living nodes failed while one was killed",
                self.killed.failed_to_others
            ));
        }
        let within = self.parted.map_or(0, |parted| parted.failed_within);
        if within > 0 {
            broken.push(format!(
                "{within} calls within a half failed while the network was parted"
            ));
        }
        let phases = [
            ("after the kill", Some(self.killed.connects)),
            ("while parted", self.parted.map(|parted| parted.connects)),
        ];
        for (when, connects) in phases {
            if let Some(connects) = connects.filter(Retries::is_above_bound) {
                broken.push(format!(
                    "{when} a node tried {:.1} times to reach another, and {} were the most",
                    connects.failed_per_lost_node_max, connects.failed_per_lost_node_bound
                ));
            }
        }
        broken
    }

    /// As lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mebibytes = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
        let spread = |spread: Spread, show: &dyn Fn(f64) -> String| {
            format!("{} (median), {} (most)", show(spread.median), show(spread.max))
        };
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        let count = |count: u64| grouped(count as f64);
        let Growth {
            ready_seconds,
            met_seconds,
            connects,
        } = &self.start;
        let mut lines = vec![
            format!(
                "{} nodes with {} shard{} each, found by {}",
                self.nodes,
                self.threads,
                if self.threads == 1 { "" } else { "s" },
                self.found_by
            ),
            String::new(),
            format!("all started at once   all run after {}", seconds(*ready_seconds)),
            format!(
                "                      all have met after {}",
                seconds(*met_seconds)
            ),
            format!(
                "                      {} connections, {} attempts failed, {} a second at most",
                count(connects.accepted),
                count(connects.failed),
                grouped(connects.per_second_max)
            ),
            format!(
                "memory of each        resident {}",
                spread(self.resident_bytes, &mebibytes)
            ),
            format!(
                "                      proportional {}",
                spread(self.proportional_bytes, &mebibytes)
            ),
            format!(
                "idle for {:<12} {} of a processor each",
                seconds(self.idle_seconds),
                spread(self.idle_processor_percent, &|percent| format!("{percent:.2} %"))
            ),
        ];
        if let Some(percent) = self.etcd_processor_percent {
            lines.push(format!("                      etcd {percent:.2} %"));
        }
        let Killed { connects, .. } = &self.killed;
        lines.extend([
            format!(
                "one killed            known after {}",
                spread(self.killed.known_seconds, &seconds)
            ),
            format!(
                "                      {} calls: {} to it failed, {} to others",
                count(self.killed.calls),
                count(self.killed.failed_to_it),
                count(self.killed.failed_to_others)
            ),
            retry_line(connects),
            format!(
                "                      started again: all have met after {}",
                seconds(self.killed.met_again_seconds)
            ),
        ]);
        match (&self.parted, &self.not_parted_because) {
            (Some(parted), _) => lines.extend([
                format!(
                    "parted for {:<10} known after {}",
                    seconds(parted.seconds),
                    spread(parted.known_seconds, &seconds)
                ),
                format!(
                    "                      {} calls: {} across failed, {} within a half",
                    count(parted.calls),
                    count(parted.failed_across),
                    count(parted.failed_within)
                ),
                retry_line(&parted.connects),
                format!(
                    "                      whole again: all have met after {}, {} connects a second at most",
                    seconds(parted.met_again_seconds),
                    grouped(parted.connects_per_second_max_after)
                ),
            ]),
            (None, because) => lines.push(format!(
                "network parted        not measured: {}",
                because.as_deref().unwrap_or("nothing was to be parted")
            )),
        }
        lines
    }
}

fn retry_line(connects: &Retries) -> String {
    format!(
        "                      {} attempts failed, {} connects a second at most; {:.1} attempts for each lost node at most, bound {}",
        grouped(connects.failed as f64),
        grouped(connects.per_second_max),
        connects.failed_per_lost_node_max,
        connects.failed_per_lost_node_bound
    )
}
