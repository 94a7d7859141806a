//! Any descriptor whose readable side the poller watches.
//!
//! Invariant: the descriptor stays open until the poller has let go of it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::task::Poll;

use super::poller::Poller;
use super::tasks;
use crate::rt::sys;

/// A descriptor, bound to this thread's executor.
pub(crate) struct Watched<T: AsRawFd> {
    io: T,
    poller: Rc<Poller>,
    number: usize,
    /// Whether reading is worth a try: found out by trying at first.
    is_ready: Cell<bool>,
}

impl<T: AsRawFd> Watched<T> {
    pub(in crate::rt) fn new(io: T) -> io::Result<Watched<T>> {
        let poller = tasks::local()?.poller()?;
        let number = poller.insert(sys::borrow(&io))?;
        Ok(Watched {
            io,
            poller,
            number,
            is_ready: Cell::new(true),
        })
    }

    pub(in crate::rt) fn get(&self) -> &T {
        &self.io
    }

    fn fd(&self) -> BorrowedFd<'_> {
        sys::borrow(&self.io)
    }

    pub(in crate::rt) async fn readable(&self) -> io::Result<()> {
        let mut has_waited = false;
        poll_fn(|context| {
            if self.is_ready.get() || std::mem::replace(&mut has_waited, true) && self.is_readable() {
                self.is_ready.set(true);
                return Poll::Ready(Ok(()));
            }
            match self.poller.wait(self.number, self.fd(), context.waker()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    fn is_readable(&self) -> bool {
        crate::rt::watched::is_readable_now(&self.fd())
    }

    /// All that could be read was read: the next [`readable`](Self::readable) waits.
    pub(in crate::rt) fn clear_readable(&self) {
        self.is_ready.set(false);
    }
}

impl<T: AsRawFd> Drop for Watched<T> {
    fn drop(&mut self) {
        self.poller.remove(self.number, self.fd());
    }
}
