//! Coverage of the seeds: how often each kind of disturbance meets each kind of message in flight.

use std::fmt;

use super::frames::MessageKind;
use super::settings::Disturbance;

const KINDS: usize = MessageKind::ALL.len();

/// How many disturbances met a message of a kind in flight, by disturbance and kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// How many disturbances there were.
    disturbances: [u64; Disturbance::ALL.len()],
    found: [[u64; KINDS]; Disturbance::ALL.len()],
}

impl Coverage {
    /// Counts a disturbance, and the messages in flight on the connections that it affects.
    pub(super) fn count(&mut self, disturbance: Disturbance, in_flight: impl Iterator<Item = MessageKind>) {
        let row = disturbance as usize;
        self.disturbances[row] += 1;
        let mut is_found = [false; KINDS];
        for kind in in_flight {
            is_found[kind as usize] = true;
        }
        for (count, is_found) in self.found[row].iter_mut().zip(is_found) {
            *count += u64::from(is_found);
        }
    }

    pub(crate) fn add(&mut self, other: &Coverage) {
        for (sum, count) in self.disturbances.iter_mut().zip(other.disturbances) {
            *sum += count;
        }
        let counts = other.found.iter().flatten();
        for (sum, count) in self.found.iter_mut().flatten().zip(counts) {
            *sum += count;
        }
    }

    /// The combinations that did not occur, except those with disturbances that affect no connection.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for disturbance in Disturbance::ALL.into_iter().filter(|it| it.affects_connections()) {
            for kind in MessageKind::ALL {
                if self.found[disturbance as usize][kind as usize] == 0 {
                    missing.push(format!("{disturbance:?} with {}", kind.name()));
                }
            }
        }
        missing
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>12} {:>9}", "disturbance", "events")?;
        for kind in MessageKind::ALL {
            write!(formatter, " {:>8}", kind.name())?;
        }
        for disturbance in Disturbance::ALL {
            let row = disturbance as usize;
            write!(
                formatter,
                "\n{:>12} {:>9}",
                format!("{disturbance:?}"),
                self.disturbances[row]
            )?;
            for count in self.found[row] {
                write!(formatter, " {count:>8}")?;
            }
        }
        match &self.missing()[..] {
            [] => Ok(()),
            missing => write!(formatter, "\nnever met: {}", missing.join(", ")),
        }
    }
}
