//! The queues between the shards of a node: one bounded queue of batches for each pair.
//!
//! Invariants: a shard pushes only into its own queues, so order per pair holds; every queue is bounded, in messages
//! and in bytes; every push is followed by a ring.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::core::envelope::{Envelope, Refusal};
use crate::core::limits::WAITING_CALLS_MAX;

/// Most messages of one batch.
pub(crate) const BATCH_MESSAGES_MAX: usize = 256;

/// Most staged messages for one other shard. Past it requests are refused; replies, of which there are no more than
/// accepted requests, are not.
pub(crate) const STAGED_MESSAGES_MAX: usize = 65_536;

/// Most bytes of the staged messages. A larger message is staged alone.
pub(crate) const STAGED_BYTES_MAX: usize = 64 << 20;

/// A batch of so many bytes gets no further message.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes in the queue of one pair of shards; past it the queue takes no further batch.
const PAIR_BYTES_MAX: usize = 64 << 20;

/// Most batches in the queue of one pair of shards.
const INBOX_BATCHES_MAX: usize = 256;

/// A batch of messages from one shard to another.
pub(crate) struct Batch {
    pub(crate) messages: Vec<Envelope>,
    /// Bytes of their payloads.
    bytes: usize,
}

/// The staged messages for one shard.
#[derive(Default)]
pub(crate) struct Staged {
    messages: VecDeque<Envelope>,
    /// Bytes of the messages that may be refused: long answers must not block requests.
    bytes: usize,
}

impl Staged {
    /// Stages a message; returns it when the queue is full.
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

    /// Whether nothing is staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Removes the next batch.
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

    /// Puts a refused batch back.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        for envelope in batch.messages.into_iter().rev() {
            let (bytes, refusal) = envelope.weight();
            self.bytes += counted(bytes, refusal);
            self.messages.push_front(envelope);
        }
    }
}

/// The bytes that a message counts for.
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
    /// The queues of a node with `shards` shards.
    pub(crate) fn new(shards: usize) -> Mesh {
        let inboxes = || (0..shards).map(|_| Inbox::new()).collect();
        Mesh {
            inboxes: (0..shards).map(|_| inboxes()).collect(),
        }
    }

    /// How many batches wait for a shard.
    pub(crate) fn batches(&self, to: usize) -> usize {
        self.inboxes[to].iter().map(|inbox| inbox.batches.len()).sum()
    }

    /// Pushes a batch; returns it when the queue is full. The caller must ring the receiver's bell.
    pub(crate) fn push(&self, from: usize, to: usize, batch: Batch) -> Result<(), Batch> {
        let inbox = &self.inboxes[to][from];
        let bytes = batch.bytes;
        // Only shard `from` adds to it, so it cannot pass the bound between the check and the push.
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

    /// Removes the next batch from shard `from` for shard `to`. Only shard `to` calls this.
    pub(crate) fn pop(&self, from: usize, to: usize) -> Option<Vec<Envelope>> {
        let inbox = &self.inboxes[to][from];
        let batch = inbox.batches.pop()?;
        inbox.bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        Some(batch.messages)
    }

    /// Whether no batch waits for a shard.
    pub(crate) fn is_empty(&self, to: usize) -> bool {
        self.inboxes[to].iter().all(|inbox| inbox.batches.is_empty())
    }
}
