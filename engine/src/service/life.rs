//! The life cycle of a service, the counters of its inbox, and its tasks.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
use crate::core::slab::Slab;

/// The life cycle of a service, the counters of its inbox, and its tasks.
#[derive(Default)]
pub(crate) struct Life {
    pub(super) ended: Cell<bool>,
    exiting: Cell<bool>,
    /// Messages that are queued, or that a task answers later.
    pub(crate) waiting: Cell<usize>,
    /// Bytes of the queued messages.
    queued_bytes: Cell<usize>,
    pub(super) tasks: RefCell<Slab<Option<Waker>>>,
}

impl Life {
    pub(super) fn end(&self) {
        self.ended.set(true);
        let wakers: Vec<Waker> = self.tasks.borrow().iter().filter_map(Clone::clone).collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Whether the inbox is full. `waits`: the caller chose to wait for space.
    pub(crate) fn is_full(&self, waits: bool) -> bool {
        let more = if waits { WAITING_CALLS_MAX } else { 0 };
        self.waiting.get() >= INBOX_MESSAGES_MAX + more
    }

    /// Counts a message of `bytes` into the inbox; returns false when the inbox is full.
    pub(crate) fn try_enqueue(&self, bytes: usize, waits: bool) -> bool {
        let queued = self.queued_bytes.get();
        let is_too_much = !waits && queued > 0 && queued + bytes > INBOX_BYTES_MAX;
        if is_too_much || self.is_full(waits) {
            return false;
        }
        self.waiting.set(self.waiting.get() + 1);
        self.queued_bytes.set(queued + bytes);
        true
    }

    /// Counts a message out of the inbox.
    pub(crate) fn dequeue(&self, bytes: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.queued_bytes
            .set(self.queued_bytes.get().saturating_sub(bytes));
    }

    /// Requests the end of the service after the current message.
    pub(crate) fn request_exit(&self) {
        self.exiting.set(true);
    }

    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }
}
