//! Any descriptor whose readable side the ring watches: listening sockets, UDP sockets, a terminal.
//!
//! Invariant: the descriptor stays open until the ring has let go of it.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use super::executor::{self, Executor};
use super::ring::{Direction, SourceKey};

/// A descriptor, bound to this thread's executor.
pub(crate) struct Watched<T> {
    io: T,
    executor: Rc<Executor>,
    source: SourceKey,
}

impl<T: AsRawFd> Watched<T> {
    /// Takes over a descriptor, which does not block, or is only read when [`is_readable_now`] says so.
    pub(in crate::rt) fn new(io: T) -> io::Result<Watched<T>> {
        let executor = executor::current()?;
        let source = executor.ring.insert(io.as_raw_fd(), None);
        Ok(Watched { io, executor, source })
    }

    /// What it watches.
    pub(in crate::rt) fn get(&self) -> &T {
        &self.io
    }

    /// Waits until reading is worth a try.
    pub(in crate::rt) async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| {
            self.executor
                .ring
                .poll_ready(self.source, Direction::Read, context)
        })
        .await
    }

    /// Says that all that could be read was read: the next [`readable`](Self::readable) waits.
    pub(in crate::rt) fn clear_readable(&self) {
        self.executor.ring.clear_readable(self.source);
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.executor.ring.remove(self.source);
    }
}
