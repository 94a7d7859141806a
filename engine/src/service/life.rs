//! The life cycle of a service, the counters of its inbox, its tasks, and those who watch it.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::core::activity::Work;
use crate::core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX, WAITING_CALLS_MAX};
use crate::core::request::ReplyTo;
use crate::core::slab::Slab;
use crate::service::end::End;
use crate::service::supervision::Supervision;

/// Most watches of one service.
pub const WATCHES_MAX: usize = 65_536;

/// Added to the count of waiting messages once the service takes no more: then its inbox counts as full.
const CLOSED: usize = 1 << 48;

/// The life cycle of a service, the counters of its inbox, and its tasks.
#[derive(Default)]
pub(crate) struct Life {
    pub(super) ended: Cell<bool>,
    exiting: Cell<bool>,
    /// Messages that are queued, or that a task answers later; and `CLOSED`.
    waiting: Cell<usize>,
    /// Bytes of the queued messages.
    queued_bytes: Cell<usize>,
    pub(super) tasks: RefCell<Slab<Option<Waker>>>,
    /// How it ends: the first cause counts.
    cause: RefCell<Option<End>>,
    /// Where the answers to its watches go.
    watches: RefCell<Vec<ReplyTo>>,
    /// Messages that it has got.
    pub(super) messages: Cell<u64>,
    /// Messages, answers, socket events and steps of its tasks.
    pub(super) work: Work,
    /// The sum of the times of `work` when somebody looked last.
    pub(super) sum_ns_seen: Cell<u64>,
    /// Set for a service that a supervisor has started.
    pub(super) supervision: RefCell<Option<Supervision>>,
}

impl Life {
    pub(super) fn end(&self) {
        self.ended.set(true);
        let wakers: Vec<Waker> = self.tasks.borrow().iter().filter_map(Clone::clone).collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Counts a message.
    #[inline(always)]
    pub(super) fn count_message(&self) {
        self.messages.set(self.messages.get() + 1);
    }

    /// Messages that are queued, or that a task answers later.
    pub(crate) fn messages_waiting(&self) -> usize {
        self.waiting.get() & (CLOSED - 1)
    }

    /// Counts a message that a task answers.
    pub(crate) fn begin_answer(&self) {
        self.waiting.set(self.waiting.get() + 1);
    }

    /// Counts such a message as answered.
    pub(crate) fn end_answer(&self) {
        let waiting = self.waiting.get();
        if waiting & (CLOSED - 1) > 0 {
            self.waiting.set(waiting - 1);
        }
    }

    /// Whether the inbox is full. `waits`: the caller chose to wait for space.
    pub(crate) fn is_full(&self, waits: bool) -> bool {
        let more = if waits { WAITING_CALLS_MAX } else { 0 };
        self.waiting.get() >= INBOX_MESSAGES_MAX + more
    }

    /// Takes no more messages: the service stops.
    pub(super) fn close(&self) {
        self.waiting.set(self.waiting.get() | CLOSED);
    }

    /// Whether the service takes no more messages. Its inbox counts as full too.
    pub(crate) fn is_closed(&self) -> bool {
        self.waiting.get() & CLOSED != 0
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
        self.end_answer();
        self.queued_bytes
            .set(self.queued_bytes.get().saturating_sub(bytes));
    }

    /// Requests the end of the service after the current message. The first cause counts, but a failure counts more than
    /// an exit.
    pub(crate) fn request_end(&self, cause: End) {
        let mut stored = self.cause.borrow_mut();
        let counts_less = |stored: &End| !stored.is_failure() && cause.is_failure();
        if stored.as_ref().is_none_or(counts_less) {
            *stored = Some(cause);
        }
        self.exiting.set(true);
    }

    /// Whether it ends after the current message.
    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }

    /// Takes the request for the end back, while the service stops.
    pub(super) fn defer_end(&self) {
        self.exiting.set(false);
    }

    /// Whether it ends by a failure, after which its state is not to be trusted.
    pub(super) fn has_failed(&self) -> bool {
        self.cause.borrow().as_ref().is_some_and(End::is_failure)
    }

    /// Takes its cause.
    pub(super) fn take_cause(&self) -> Option<End> {
        self.cause.take()
    }

    /// Adds a watch; returns false when there are too many.
    pub(super) fn add_watch(&self, reply_to: ReplyTo) -> bool {
        let mut watches = self.watches.borrow_mut();
        if watches.len() >= WATCHES_MAX {
            return false;
        }
        watches.push(reply_to);
        true
    }

    /// Removes a watch.
    pub(super) fn remove_watch(&self, reply_to: ReplyTo) {
        let mut watches = self.watches.borrow_mut();
        if let Some(at) = watches.iter().position(|watch| *watch == reply_to) {
            watches.swap_remove(at);
        }
    }

    /// Takes the watches, to answer them.
    pub(super) fn take_watches(&self) -> Vec<ReplyTo> {
        self.watches.take()
    }
}
