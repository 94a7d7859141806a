//! The queues between the shards of a node: one bounded queue of batches for each pair, and one for
//! threads that are no shard.
//!
//! Invariants: a shard pushes only into its own queues of the others' ports, so order per pair holds;
//! nothing here grows past its bound, in messages and in bytes; whoever pushes rings afterwards.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::rt::doorbell::Bell;
use crate::service::router::WAITING_CALLS_MAX;
use crate::shard::envelope::{Envelope, Errand, Refusal};

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

/// Most errands from threads outside that wait for one shard.
const ERRANDS_MAX: usize = 16_384;

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

/// What others see of a shard.
pub(crate) struct Port {
    bell: Arc<Bell>,
    inboxes: Box<[Inbox]>,
    errands: ArrayQueue<Errand>,
    /// The shard has ended and runs no more errands.
    closed: AtomicBool,
}

impl Port {
    /// The port of one shard among `shards`.
    pub(crate) fn new(shards: usize) -> io::Result<Port> {
        Ok(Port {
            bell: Bell::new()?,
            inboxes: (0..shards).map(|_| Inbox::new()).collect(),
            errands: ArrayQueue::new(ERRANDS_MAX),
            closed: AtomicBool::new(false),
        })
    }

    /// Hands over a batch from shard `from`; gives it back when the queue is full.
    pub(crate) fn push(&self, from: usize, batch: Batch) -> Result<(), Batch> {
        let inbox = &self.inboxes[from];
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
        self.bell.ring();
        Ok(())
    }

    /// Hands over an errand from any thread; gives it back when the queue is full or the shard has ended.
    /// One that the shard no longer runs is dropped, so whoever waits for it must be told by its drop.
    pub(crate) fn inject(&self, errand: Errand) -> Result<(), Errand> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(errand);
        }
        self.errands.push(errand)?;
        if self.closed.load(Ordering::SeqCst) {
            // It was closed meanwhile, maybe after its last look at the queue.
            self.drop_errands();
        }
        self.bell.ring();
        Ok(())
    }

    /// Takes no more errands, and drops those that wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.drop_errands();
    }

    /// Whether the shard has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn drop_errands(&self) {
        while self.errands.pop().is_some() {}
    }

    /// The next batch from shard `from`. Only the port's own shard takes.
    pub(crate) fn take(&self, from: usize) -> Option<Vec<Envelope>> {
        let inbox = &self.inboxes[from];
        let batch = inbox.batches.pop()?;
        inbox.bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        Some(batch.messages)
    }

    /// The next errand. Only the port's own shard takes.
    pub(crate) fn take_errand(&self) -> Option<Errand> {
        self.errands.pop()
    }

    /// Whether anything waits here.
    pub(crate) fn has_messages(&self) -> bool {
        !self.errands.is_empty() || self.inboxes.iter().any(|inbox| !inbox.batches.is_empty())
    }

    /// The doorbell.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}
