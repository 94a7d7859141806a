//! The queues between the shards of a node: one bounded queue of batches for each pair, and one for
//! threads that are no shard.
//!
//! Invariants: a shard pushes only into its own queues of the others' ports, so order per pair holds;
//! nothing here grows past its bound; whoever pushes rings afterwards.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::rt::doorbell::Bell;
use crate::shard::envelope::{Envelope, Errand};

/// Most messages of one batch.
pub(crate) const BATCH_MESSAGES_MAX: usize = 256;

/// Most batches in the queue of one pair of shards.
const INBOX_BATCHES_MAX: usize = 256;

/// Most errands from threads outside that wait for one shard.
const ERRANDS_MAX: usize = 16_384;

/// What others see of a shard.
pub(crate) struct Port {
    bell: Arc<Bell>,
    inboxes: Box<[ArrayQueue<Vec<Envelope>>]>,
    errands: ArrayQueue<Errand>,
    /// The shard has ended and runs no more errands.
    closed: AtomicBool,
}

impl Port {
    /// The port of one shard among `shards`.
    pub(crate) fn new(shards: usize) -> io::Result<Port> {
        Ok(Port {
            bell: Bell::new()?,
            inboxes: (0..shards).map(|_| ArrayQueue::new(INBOX_BATCHES_MAX)).collect(),
            errands: ArrayQueue::new(ERRANDS_MAX),
            closed: AtomicBool::new(false),
        })
    }

    /// Hands over a batch from shard `from`; gives it back when the queue is full.
    pub(crate) fn push(&self, from: usize, batch: Vec<Envelope>) -> Result<(), Vec<Envelope>> {
        self.inboxes[from].push(batch)?;
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
        self.inboxes[from].pop()
    }

    /// The next errand. Only the port's own shard takes.
    pub(crate) fn take_errand(&self) -> Option<Errand> {
        self.errands.pop()
    }

    /// Whether anything waits here.
    pub(crate) fn has_messages(&self) -> bool {
        !self.errands.is_empty() || self.inboxes.iter().any(|inbox| !inbox.is_empty())
    }

    /// The doorbell.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}
