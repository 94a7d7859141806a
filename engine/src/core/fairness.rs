//! Fairness between tasks and I/O: a task whose calls are all answered at once would otherwise never let go.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use crate::rt::notify::Notify;

/// Calls that may complete before the executor must look at its I/O.
const COMPLETED_BEFORE_IO_MAX: u32 = 4_096;

/// How much was done since the executor last looked at its I/O, and who waits for its next look.
#[derive(Default)]
pub(crate) struct Fairness {
    completed: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
    /// Woken when somebody waits.
    pub(crate) wanted: Notify,
}

impl Fairness {
    /// The executor has looked at its I/O.
    pub(crate) fn reset(&self) {
        self.completed.set(0);
    }

    /// Counts a completed call. True: too many have completed without a look at the I/O, and `waker` is
    /// woken after one.
    #[inline]
    pub(crate) fn count(&self, waker: &Waker) -> bool {
        let completed = self.completed.get() + 1;
        self.completed.set(completed);
        if completed <= COMPLETED_BEFORE_IO_MAX {
            return false;
        }
        self.waiting.borrow_mut().push(waker.clone());
        self.wanted.wake();
        true
    }

    /// Wakes those who waited for the look.
    pub(crate) fn wake_waiting(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}
