//! The reports of the shards put together as the status of the node.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use super::{AdminParts, process};
use crate::status::{Measure, NodeStatus, ServiceStatus, ShardReport};

/// Services in the status of a node one by one.
const ADMIN_SERVICES_MAX: usize = 200;

/// Labels of services that the status of a node tells apart, those of all shards together.
const ADMIN_LABELS_MAX: usize = 200;

/// Figures of services in the status of a node, each label counted.
const ADMIN_MEASURES_MAX: usize = 1_000;

/// The label of all others; the shards have the same.
const OTHER: &str = "other";

/// Puts reports together. Remembers which services it tells apart: the first ones stay so.
#[derive(Default)]
pub(super) struct Assembly {
    labels: RefCell<HashSet<String>>,
    measures: RefCell<HashSet<(String, String)>>,
}

impl Assembly {
    /// The status of the node.
    pub(super) fn status(&self, parts: &AdminParts, reports: Vec<ShardReport>) -> NodeStatus {
        let node = &parts.node;
        let (began, began_by_calendar) = node.started;
        let since_1970 = began_by_calendar.duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut status = NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: node.settings.name.clone(),
            runtime: parts.runtime.to_owned(),
            started_ms: milliseconds(since_1970),
            uptime_ms: milliseconds(began.elapsed()),
            is_ready: node.is_ready.load(Ordering::Acquire),
            is_stopping: node.is_leaving.load(Ordering::Acquire),
            failure: node.failure().map(ToString::to_string),
            has_profiler: parts.profiler.is_some(),
            process: process::status(node.open_files_max),
            counters: node
                .metrics
                .all()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            log_lines_dropped: node.logger.dropped(),
            ..NodeStatus::default()
        };
        let mut measures = Vec::new();
        let mut sums = Vec::new();
        for mut report in reports {
            status.services_total += report.services.total;
            status.services.append(&mut report.services.listed);
            sums.append(&mut report.services.sums);
            measures.append(&mut report.services.measures);
            status.channels.append(&mut report.channels);
            status.channels_omitted += report.channels_omitted;
            if report.shard.is_answering {
                status.inbound.push(report.inbound);
            }
            status.shards.push(report.shard);
            if let Some(cluster) = report.cluster {
                status.peers = cluster.peers;
                status.peers_omitted = cluster.peers_omitted;
                status.groups = cluster.groups;
                status.listeners = cluster.listeners;
                status.zone = cluster.zone;
            }
        }
        status
            .channels
            .sort_by(|one, other| (&one.node, one.channel).cmp(&(&other.node, other.channel)));
        // The shards have put those first that took the most time lately, or have the most memory.
        status
            .services
            .sort_by_key(|service| Reverse((service.handler.sum_ns, service.memory_bytes)));
        status.services.truncate(ADMIN_SERVICES_MAX);
        status.service_sums = self.sums(sums);
        status.measures = self.measures(measures);
        status
    }

    /// The sums of all shards by label, with at most so many labels.
    fn sums(&self, sums: Vec<ServiceStatus>) -> Vec<ServiceStatus> {
        let mut known = self.labels.borrow_mut();
        let mut by_label: BTreeMap<String, ServiceStatus> = BTreeMap::new();
        for sum in sums {
            let label = known_label(&mut known, &sum.label);
            let all = by_label.entry(label.clone()).or_insert_with(|| ServiceStatus {
                label,
                ..ServiceStatus::default()
            });
            all.add(&sum);
        }
        by_label.into_values().collect()
    }

    fn measures(&self, measures: Vec<Measure>) -> Vec<Measure> {
        let mut known = self.measures.borrow_mut();
        let labels = self.labels.borrow();
        let mut by_name: BTreeMap<(String, String), Measure> = BTreeMap::new();
        let mut help: HashMap<String, Measure> = HashMap::new();
        for mut measure in measures {
            // All with one name are of one sort, and have one help text.
            let first = help
                .entry(measure.name.clone())
                .or_insert_with(|| measure.clone());
            (measure.help, measure.unit) = (first.help.clone(), first.unit);
            let key = (measure.name.clone(), measure.service.clone());
            let has_room = known.len() < ADMIN_MEASURES_MAX && labels.contains(&measure.service);
            if !known.contains(&key) && !has_room {
                measure.service = OTHER.to_owned();
            } else {
                known.insert(key);
            }
            let key = (measure.name.clone(), measure.service.clone());
            match by_name.get_mut(&key) {
                Some(all) => all.value += measure.value,
                None => {
                    by_name.insert(key, measure);
                }
            }
        }
        by_name.into_values().collect()
    }
}

/// The label under which the node counts what has this one.
fn known_label(known: &mut HashSet<String>, label: &str) -> String {
    if !known.contains(label) {
        if known.len() >= ADMIN_LABELS_MAX {
            return OTHER.to_owned();
        }
        known.insert(label.to_owned());
    }
    label.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(label: &str, messages: u64) -> ServiceStatus {
        ServiceStatus {
            label: label.to_owned(),
            messages,
            ..ServiceStatus::default()
        }
    }

    #[test]
    fn labels_beyond_the_cap_are_added_up_and_those_that_were_told_apart_stay_so() {
        let assembly = Assembly::default();
        let first = assembly.sums(vec![sum("early", 1), sum("early", 2)]);
        assert_eq!(first, [sum("early", 3)]);
        let many = (0..ADMIN_LABELS_MAX + 10).map(|number| sum(&format!("late{number:04}"), 1));
        let all = assembly.sums(many.chain([sum("early", 5)]).collect());
        assert_eq!(all.len(), ADMIN_LABELS_MAX + 1);
        let of = |label: &str| all.iter().find(|sum| sum.label == label).map(|sum| sum.messages);
        assert_eq!((of("early"), of(OTHER)), (Some(5), Some(11)));
    }

    #[test]
    fn a_figure_that_several_services_report_is_one_and_its_number_is_bounded() {
        let assembly = Assembly::default();
        assembly.sums(vec![sum("front", 0)]);
        let measure = |name: String, service: &str| Measure {
            name,
            service: service.to_owned(),
            value: 2,
            ..Measure::default()
        };
        let names = (0..ADMIN_MEASURES_MAX + 5).map(|number| measure(format!("m{number:05}"), "front"));
        let twice = [
            measure("m00000".to_owned(), "front"),
            measure("m00001".to_owned(), "unknown"),
        ];
        let all = assembly.measures(names.chain(twice).collect());
        let of_front = all.iter().filter(|measure| measure.service == "front");
        assert_eq!(of_front.count(), ADMIN_MEASURES_MAX);
        assert_eq!((all[0].value, all[1].value), (4, 2));
    }
}
