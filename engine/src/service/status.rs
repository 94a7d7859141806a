//! The services of a shard in the status of its node: those that matter most one by one, and all of them added up by label.
//!
//! Invariants: what is added up only grows while services come and go, since those that have ended stay in it; there are at most
//! [`SERVICE_LABELS_MAX`] labels, the first that came, and the rest is under [`OTHER`].

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::error::Text;
use crate::service::deliver::Deliver;
use crate::service::report::{Report, Reported};
use crate::service::table::ServiceShard;
use crate::status::{Measure, ServiceStatus, ServicesStatus};

/// Labels of services that the status of a node tells apart.
pub const SERVICE_LABELS_MAX: usize = 200;

/// The label of all others.
pub(crate) const OTHER: &str = "other";

/// Services that a shard lists one by one: so many that took the most time, and so many with the most memory.
pub const SERVICES_LISTED_MAX: usize = 50;

/// The sums of a shard by label, of services that have ended.
#[derive(Default, Clone)]
pub(super) struct Sums(FxHashMap<Text, ServiceStatus>);

impl Sums {
    /// The sum with this label.
    fn of(&mut self, label: &str) -> &mut ServiceStatus {
        let label = match self.0.contains_key(label) || self.0.len() < SERVICE_LABELS_MAX {
            true => label,
            false => OTHER,
        };
        self.0.entry(label.into()).or_insert_with(|| ServiceStatus {
            label: label.to_owned(),
            ..ServiceStatus::default()
        })
    }

    /// Keeps the labels of these sums, so that the same ones are told apart the next time.
    fn know(&mut self, sums: &Sums) {
        for label in sums.0.keys().filter(|label| ***label != *OTHER) {
            self.of(label);
        }
    }
}

/// One service while its shard's report is made.
struct Entry<'a> {
    handle: Handle,
    service: &'a Rc<dyn Deliver>,
    /// The time it took since somebody looked last.
    recent_ns: u64,
    memory_bytes: u64,
}

impl ServiceShard {
    /// Keeps the counters of a service that ends.
    pub(super) fn keep_figures(&self, shard: &ShardCore, handle: Handle, service: &dyn Deliver) {
        let life = service.life();
        if life.work.done() == 0 {
            return;
        }
        let label = shard.names.read(|names| names.first_name(handle));
        let label = label.unwrap_or_else(|| self.label_of(handle));
        let mut ended = self.ended.borrow_mut();
        let sum = ended.of(&label);
        sum.messages += life.messages.get();
        sum.steps += life.work.done();
        sum.handler.add(&life.work.durations());
    }

    /// The label of a service without a name.
    fn label_of(&self, handle: Handle) -> Text {
        let descriptions = self.descriptions.borrow();
        descriptions
            .get(&handle)
            .map_or_else(|| OTHER.into(), |what| self.kinds.label(what).into())
    }

    /// The services of this shard for a status.
    pub(crate) fn status(&self, shard: &ShardCore) -> ServicesStatus {
        let first_names = shard.names.read(|names| names.first_names());
        let services = self.services.borrow();
        let mut sums = self.ended.borrow().clone();
        let mut measures: BTreeMap<(&'static str, Text), Measure> = BTreeMap::new();
        let mut entries: Vec<Entry<'_>> = Vec::with_capacity(services.len());
        let mut report = Report::default();
        for (handle, service) in services.iter() {
            let label = first_names.get(handle).cloned();
            let label = label.unwrap_or_else(|| self.label_of(*handle));
            report.clear();
            service.report(&mut report);
            let life = service.life();
            let sum = sums.of(&label);
            sum.services += 1;
            sum.messages += life.messages.get();
            sum.steps += life.work.done();
            sum.handler.add(&life.work.durations());
            sum.messages_waiting += life.messages_waiting() as u64;
            sum.tasks += life.tasks.borrow().len() as u64;
            sum.memory_bytes += report.memory_bytes;
            sum.restarts += restarts(service);
            let label: Text = sum.label.as_str().into();
            for reported in &report.measures {
                add_measure(&mut measures, reported, &label);
            }
            let sum_ns = life.work.sum_ns();
            entries.push(Entry {
                handle: *handle,
                service,
                recent_ns: sum_ns - life.sum_ns_seen.replace(sum_ns),
                memory_bytes: report.memory_bytes,
            });
        }
        self.ended.borrow_mut().know(&sums);
        let total = entries.len() as u64;
        let listed = listed(entries);
        ServicesStatus {
            total,
            listed: listed
                .iter()
                .map(|entry| self.described(shard, entry, &first_names))
                .collect(),
            sums: sums.0.into_values().collect(),
            measures: measures.into_values().collect(),
        }
    }

    fn described(
        &self,
        shard: &ShardCore,
        entry: &Entry<'_>,
        first_names: &FxHashMap<Handle, Text>,
    ) -> ServiceStatus {
        let Entry { handle, service, .. } = entry;
        let life = service.life();
        let first = first_names.get(handle);
        ServiceStatus {
            handle: handle.to_string(),
            label: first
                .cloned()
                .unwrap_or_else(|| self.label_of(*handle))
                .to_string(),
            what: self
                .descriptions
                .borrow()
                .get(handle)
                .map(Text::to_string)
                .unwrap_or_default(),
            names: match first {
                Some(_) => shard.names.read(|names| names.names_of(*handle)),
                None => Vec::new(),
            },
            shard: shard.index,
            services: 1,
            messages: life.messages.get(),
            steps: life.work.done(),
            handler: life.work.durations(),
            messages_waiting: life.messages_waiting() as u64,
            tasks: life.tasks.borrow().len() as u64,
            memory_bytes: entry.memory_bytes,
            restarts: restarts(service),
            last_end: life
                .supervision
                .borrow()
                .as_ref()
                .and_then(|supervision| supervision.last_end.as_ref().map(ToString::to_string)),
        }
    }
}

fn restarts(service: &Rc<dyn Deliver>) -> u64 {
    let supervision = service.life().supervision.borrow();
    supervision.as_ref().map_or(0, |supervision| supervision.restarts)
}

fn add_measure(measures: &mut BTreeMap<(&'static str, Text), Measure>, reported: &Reported, label: &Text) {
    let measure = measures
        .entry((reported.name, Text::clone(label)))
        .or_insert_with(|| Measure {
            name: reported.name.to_owned(),
            help: reported.help.to_owned(),
            unit: reported.unit,
            service: label.to_string(),
            value: 0,
        });
    measure.value += reported.value;
}

/// The services that are listed one by one, those first that took the most time lately.
fn listed(mut entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    entries.sort_unstable_by_key(|entry| {
        std::cmp::Reverse((entry.recent_ns, entry.service.life().work.sum_ns()))
    });
    let rest = entries.split_off(entries.len().min(SERVICES_LISTED_MAX));
    let mut by_memory: Vec<Entry<'_>> = rest.into_iter().filter(|entry| entry.memory_bytes > 0).collect();
    by_memory.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.memory_bytes));
    by_memory.truncate(SERVICES_LISTED_MAX);
    entries.append(&mut by_memory);
    entries
}
