//! Whether a service lives, what waits for it, and the tasks that live with it.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
use crate::core::slab::Slab;

/// Whether a service lives, and the tasks that live with it.
#[derive(Default)]
pub(crate) struct Life {
    pub(super) ended: Cell<bool>,
    exiting: Cell<bool>,
    /// Messages for it that are queued or being answered later.
    pub(crate) waiting: Cell<usize>,
    /// Bytes of those that are queued.
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

    /// Whether so many messages wait already that one more is refused. `waits`: its caller waits for room.
    pub(crate) fn is_full(&self, waits: bool) -> bool {
        let more = if waits { WAITING_CALLS_MAX } else { 0 };
        self.waiting.get() >= INBOX_MESSAGES_MAX + more
    }

    /// Takes a message of so many bytes into the inbox, if there is room.
    pub(crate) fn enter(&self, bytes: usize, waits: bool) -> bool {
        let queued = self.queued_bytes.get();
        let is_too_much = !waits && queued > 0 && queued + bytes > INBOX_BYTES_MAX;
        if is_too_much || self.is_full(waits) {
            return false;
        }
        self.waiting.set(self.waiting.get() + 1);
        self.queued_bytes.set(queued + bytes);
        true
    }

    /// Takes one out of the inbox.
    pub(crate) fn leave(&self, bytes: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.queued_bytes
            .set(self.queued_bytes.get().saturating_sub(bytes));
    }

    /// Asks for the end once the message that is being handled is done.
    pub(crate) fn request_exit(&self) {
        self.exiting.set(true);
    }

    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }
}
