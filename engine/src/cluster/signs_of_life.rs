//! The signs of life of other processes, which all connections between this node and one of them share: the channels to it
//! and the connections from it, on whichever shards. So two nodes need one ping between them.
//!
//! A process is known by its epoch, which both ends of a connection in the native dialect have in their hello. Two nodes of
//! one name, or a tool that connects under a node's name, are not confused.
//!
//! Invariant: a time is at most [`ACCURACY_MS`] older than the last sign of life, and never newer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use skyring_codec::Millis;

/// How exact the time is, in milliseconds: shards that receive all the time must not all write it all the time.
const ACCURACY_MS: Millis = 16;

/// Entries from which on those that no connection uses are removed.
const ENTRIES_KEPT_MIN: usize = 64;

/// When a process was heard last.
#[derive(Debug, Clone, Default)]
pub(in crate::cluster) struct SignOfLife(Arc<AtomicU64>);

impl SignOfLife {
    /// The process was heard now.
    #[inline]
    pub(in crate::cluster) fn note(&self, now: Millis) {
        // Relaxed: nothing else depends on it.
        if now >= self.0.load(Ordering::Relaxed) + ACCURACY_MS {
            self.0.store(now, Ordering::Relaxed);
        }
    }

    /// When it was heard last.
    pub(in crate::cluster) fn heard(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}

/// The processes that connections of this node lead to or come from. Used only when a connection begins.
#[derive(Debug, Default)]
pub(crate) struct SignsOfLife(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_epoch: HashMap<u64, Weak<AtomicU64>>,
    /// The number of entries at which unused ones are removed.
    full: usize,
}

impl SignsOfLife {
    /// The sign of life of the process with this epoch.
    pub(in crate::cluster) fn of(&self, epoch: u64) -> SignOfLife {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = table.by_epoch.get(&epoch).and_then(Weak::upgrade) {
            return SignOfLife(shared);
        }
        if table.by_epoch.len() >= table.full {
            table.by_epoch.retain(|_, shared| shared.strong_count() > 0);
            table.full = (table.by_epoch.len() * 2).max(ENTRIES_KEPT_MIN);
        }
        let sign = SignOfLife::default();
        table.by_epoch.insert(epoch, Arc::downgrade(&sign.0));
        sign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_process_share_what_they_hear_and_unused_entries_are_removed() {
        let signs = SignsOfLife::default();
        let (one, other) = (signs.of(7), signs.of(7));
        one.note(1_000);
        assert_eq!((other.heard(), signs.of(8).heard()), (1_000, 0));
        other.note(1_000 + ACCURACY_MS - 1);
        assert_eq!(one.heard(), 1_000);
        other.note(1_000 + ACCURACY_MS);
        assert_eq!(one.heard(), 1_000 + ACCURACY_MS);
        for epoch in 100..10_000 {
            signs.of(epoch);
        }
        assert!(signs.0.lock().unwrap().by_epoch.len() <= ENTRIES_KEPT_MIN);
        assert_eq!(signs.of(7).heard(), 1_000 + ACCURACY_MS);
    }
}
