//! The executor's own timers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::executor::{self, Executor};

/// The timers of one executor, in the order in which they go off.
#[derive(Default)]
pub(super) struct Timers {
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// The number of the next timer, which keeps two of the same moment apart.
    next: Cell<u64>,
}

impl Timers {
    /// When the first of them goes off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().keys().next().map(|key| key.0)
    }

    /// Wakes those whose time has come.
    pub(super) fn wake_expired(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let now = Instant::now();
        loop {
            let waker = {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    _ => return,
                }
            };
            waker.wake();
        }
    }
}

/// A future that is ready at a moment. It takes a place among the timers when it is first polled.
pub(in crate::rt) struct Sleep {
    deadline: Instant,
    waiting: Option<(Rc<Executor>, (Instant, u64))>,
}

impl Sleep {
    pub(in crate::rt) fn new(duration: Duration) -> Sleep {
        Sleep {
            deadline: Instant::now() + duration,
            waiting: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        if self.waiting.is_none() {
            let Ok(executor) = executor::current() else {
                return Poll::Ready(());
            };
            let number = executor.timers.next.get();
            executor.timers.next.set(number + 1);
            self.waiting = Some((executor, (self.deadline, number)));
        }
        if let Some((executor, key)) = &self.waiting {
            let waker = context.waker().clone();
            executor.timers.waiting.borrow_mut().insert(*key, waker);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((executor, key)) = self.waiting.take() {
            let waker = executor.timers.waiting.borrow_mut().remove(&key);
            drop(waker);
        }
    }
}
