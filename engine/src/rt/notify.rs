//! One task of a shard waits, others of the same shard wake it. A wake that comes first is kept.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A single-waiter, same-thread wake-up with a memory of one.
#[derive(Default)]
pub(crate) struct Notify {
    woken: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Notify {
    /// Wakes the waiting task, or lets its next wait return at once. True when this was the first wake
    /// since the last wait ended.
    pub(crate) fn wake(&self) -> bool {
        if self.woken.replace(true) {
            return false;
        }
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
        true
    }

    /// Whether a task waits, or has waited since the last wake.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiter.borrow().is_some()
    }

    /// Waits for a wake. One task at a time: a second waiter would replace the first.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.woken.replace(false) {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
