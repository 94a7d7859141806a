//! The queues between the shards of a node: one bounded queue of batches for each pair.
//!
//! Invariants: a shard pushes only into its own queues, so order per pair holds; nothing here grows past its bound,
//! in messages and in bytes; whoever pushes rings afterwards.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::core::envelope::{Envelope, Refusal};
use crate::core::limits::WAITING_CALLS_MAX;

/// Most messages of one batch.
pub(crate) const BATCH_MESSAGES_MAX: usize = 256;

/// Most messages that wait to be handed to one other shard. Past it requests are refused; replies, which
/// are never more than the requests that were let in, are not.
pub(crate) const STAGED_MESSAGES_MAX: usize = 65_536;

/// Most bytes of theirs. A larger message waits alone.
pub(crate) const STAGED_BYTES_MAX: usize = 64 << 20;

/// A batch that has so many bytes gets no further message.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes in the queue of one pair of shards from which on it takes no further batch.
const PAIR_BYTES_MAX: usize = 64 << 20;

/// Most batches in the queue of one pair of shards.
const INBOX_BATCHES_MAX: usize = 256;

/// Messages that one shard hands to another at once.
pub(crate) struct Batch {
    pub(crate) messages: Vec<Envelope>,
    /// Bytes of their payloads.
    bytes: usize,
}

/// What waits to be handed to one shard.
#[derive(Default)]
pub(crate) struct Staged {
    messages: VecDeque<Envelope>,
    /// Bytes of those that could have been refused: long answers keep nobody from asking.
    bytes: usize,
}

impl Staged {
    /// Takes a message if there is room for it; gives it back if not.
    #[inline]
    pub(crate) fn push(&mut self, envelope: Envelope) -> Result<(), Envelope> {
        let (bytes, refusal) = envelope.weight();
        let is_full = match refusal {
            Refusal::Never => false,
            Refusal::Late => self.messages.len() >= STAGED_MESSAGES_MAX + WAITING_CALLS_MAX,
            Refusal::AtOnce => {
                self.messages.len() >= STAGED_MESSAGES_MAX
                    || (self.bytes > 0 && self.bytes + bytes > STAGED_BYTES_MAX)
            }
        };
        if is_full {
            return Err(envelope);
        }
        self.bytes += counted(bytes, refusal);
        self.messages.push_back(envelope);
        Ok(())
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes the next batch out.
    pub(crate) fn next_batch(&mut self) -> Batch {
        let count = self.messages.len().min(BATCH_MESSAGES_MAX);
        let mut batch = Batch {
            messages: Vec::with_capacity(count),
            bytes: 0,
        };
        while batch.messages.len() < count
            && batch.bytes < BATCH_BYTES_MAX
            && let Some(envelope) = self.messages.pop_front()
        {
            let (bytes, refusal) = envelope.weight();
            batch.bytes += bytes;
            self.bytes -= counted(bytes, refusal);
            batch.messages.push(envelope);
        }
        batch
    }

    /// Puts a batch back that was not taken.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        for envelope in batch.messages.into_iter().rev() {
            let (bytes, refusal) = envelope.weight();
            self.bytes += counted(bytes, refusal);
            self.messages.push_front(envelope);
        }
    }
}

/// What a message counts for of the bound on bytes.
fn counted(bytes: usize, refusal: Refusal) -> usize {
    if refusal == Refusal::Never { 0 } else { bytes }
}

/// The queue of one pair of shards.
struct Inbox {
    batches: ArrayQueue<Batch>,
    bytes: CachePadded<AtomicUsize>,
}

impl Inbox {
    fn new() -> Inbox {
        Inbox {
            batches: ArrayQueue::new(INBOX_BATCHES_MAX),
            bytes: CachePadded::default(),
        }
    }
}

/// The queues between all shards of a node.
pub(crate) struct Mesh {
    /// By receiving shard, then by sending shard.
    inboxes: Box<[Box<[Inbox]>]>,
}

impl Mesh {
    /// The queues of a node with so many shards.
    pub(crate) fn new(shards: usize) -> Mesh {
        let inboxes = || (0..shards).map(|_| Inbox::new()).collect();
        Mesh {
            inboxes: (0..shards).map(|_| inboxes()).collect(),
        }
    }

    /// Hands over a batch; gives it back when the queue is full. Whoever pushes rings the receiver's bell.
    pub(crate) fn push(&self, from: usize, to: usize, batch: Batch) -> Result<(), Batch> {
        let inbox = &self.inboxes[to][from];
        let bytes = batch.bytes;
        // Only shard `from` adds to it, so it cannot pass the bound between the look and the push.
        if inbox.bytes.load(Ordering::Relaxed) >= PAIR_BYTES_MAX {
            return Err(batch);
        }
        inbox.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(batch) = inbox.batches.push(batch) {
            inbox.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(batch);
        }
        Ok(())
    }

    /// The next batch that shard `from` has for shard `to`, which alone takes.
    pub(crate) fn pop(&self, from: usize, to: usize) -> Option<Vec<Envelope>> {
        let inbox = &self.inboxes[to][from];
        let batch = inbox.batches.pop()?;
        inbox.bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        Some(batch.messages)
    }

    /// Whether nothing waits for a shard.
    pub(crate) fn is_empty(&self, to: usize) -> bool {
        self.inboxes[to].iter().all(|inbox| inbox.batches.is_empty())
    }
}
