//! The violations of promises that a ledger has found.

use std::fmt;

/// Most violations that are described one by one.
const DESCRIPTIONS_MAX: usize = 20;

/// The number of violations, by promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    /// Calls that were answered and are in no journal.
    pub lost: u64,
    /// Calls that were run more than once.
    pub duplicated: u64,
    /// Calls that were run after a later one of the same caller.
    pub out_of_order: u64,
    /// Calls that were run although their errors say that they were not.
    pub dishonest: u64,
    /// Calls that were neither answered nor failed.
    pub unanswered: u64,
    /// Calls that ended later than their deadline and [`LATE_TOLERANCE`](crate::LATE_TOLERANCE).
    pub late: u64,
    /// Calls that got the reply to another.
    pub mixed_up: u64,
    /// Calls in a journal that no caller has made.
    pub invented: u64,
    /// Descriptions of the first ones, one line each.
    pub descriptions: Vec<String>,
}

impl Violations {
    /// Every count with its name.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("out of order", self.out_of_order),
            ("dishonest", self.dishonest),
            ("unanswered", self.unanswered),
            ("late", self.late),
            ("mixed up", self.mixed_up),
            ("invented", self.invented),
        ]
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    /// Adds a description, unless there are too many.
    pub(super) fn describe(&mut self, line: impl FnOnce() -> String) {
        if self.descriptions.len() < DESCRIPTIONS_MAX {
            self.descriptions.push(line());
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .counts()
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        formatter.write_str(&parts.join(", "))
    }
}
