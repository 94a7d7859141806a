//! What has happened in a run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::core::placement::hash_number;

/// Most entries of a trace; the oldest ones are dropped.
const ENTRIES_MAX: usize = 100_000;

/// How much of a run its trace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Detail {
    /// Nothing: the fastest.
    #[default]
    Nothing,
    /// Faults, messages, log lines.
    Events,
    /// The turns of shards and the bytes between nodes too.
    All,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEntry {
    /// When, in the time of the simulation.
    pub time: Duration,
    /// At which node; empty when it concerns several.
    pub node: String,
    /// What.
    pub text: String,
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.time.as_micros();
        let (seconds, part) = (microseconds / 1_000_000, microseconds % 1_000_000);
        let node = &self.node;
        let separator = if node.is_empty() { "" } else { ": " };
        write!(formatter, "{seconds:3}.{part:06} {node}{separator}{}", self.text)
    }
}

/// The trace of a run, and a number that stands for all that has happened in it.
#[derive(Default)]
pub(super) struct Trace {
    detail: Cell<Detail>,
    entries: RefCell<VecDeque<TraceEntry>>,
    fingerprint: Cell<u64>,
}

impl Trace {
    pub(super) fn set_detail(&self, detail: Detail) {
        self.detail.set(detail);
    }

    pub(super) fn has(&self, detail: Detail) -> bool {
        self.detail.get() >= detail
    }

    /// Takes notice of what has happened.
    pub(super) fn note(&self, detail: Detail, time: Duration, node: &str, text: impl FnOnce() -> String) {
        if !self.has(detail) {
            return;
        }
        let mut entries = self.entries.borrow_mut();
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(TraceEntry {
            time,
            node: node.to_owned(),
            text: text(),
        });
    }

    /// Counts something in, whatever the detail.
    pub(super) fn count(&self, time: Duration, what: u64) {
        let time = time.as_nanos() as u64;
        self.fingerprint
            .set(hash_number(self.fingerprint.get() ^ hash_number(time) ^ what));
    }

    /// Two runs of the same seed have the same.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint.get()
    }

    pub(super) fn entries(&self) -> Vec<TraceEntry> {
        self.entries.borrow().iter().cloned().collect()
    }
}
