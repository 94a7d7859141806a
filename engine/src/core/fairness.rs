//! Fairness between tasks and I/O: a task whose calls all complete at once would otherwise never yield.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::rt::notify::Notify;

/// Calls that may complete before the executor must poll its I/O.
const COMPLETED_BEFORE_IO_MAX: u32 = 4_096;

/// The calls that have completed since the executor last polled its I/O, and the tasks that wait for the next poll.
#[derive(Default)]
pub(crate) struct Fairness {
    completed: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
    /// Woken when a task waits.
    pub(crate) poll_requested: Notify,
}

impl Fairness {
    /// Restarts the count: the executor has polled its I/O.
    pub(crate) fn reset(&self) {
        self.completed.set(0);
    }

    /// Counts a completed call. Returns true when too many have completed since the last poll of the I/O; then
    /// `waker` is woken after the next one.
    #[inline]
    pub(crate) fn count(&self, waker: &Waker) -> bool {
        let completed = self.completed.get() + 1;
        self.completed.set(completed);
        if completed <= COMPLETED_BEFORE_IO_MAX {
            return false;
        }
        self.waiting.borrow_mut().push(waker.clone());
        self.poll_requested.wake();
        true
    }

    /// Wakes the tasks that wait for a poll.
    pub(crate) fn wake_waiting(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}
