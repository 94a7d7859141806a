//! Any descriptor whose readable side the runtime watches: listening sockets, UDP sockets, a terminal.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(feature = "glommio")]
use super::glommio;
use super::{Runtime, uring};

/// A descriptor, bound to this thread's executor.
pub(crate) enum Watched<T: AsRawFd> {
    /// Of the executor on io_uring.
    Uring(uring::Watched<T>),
    /// Of glommio's executor.
    #[cfg(feature = "glommio")]
    Glommio(glommio::Watched<T>),
}

impl<T: AsRawFd> Watched<T> {
    /// Takes over a descriptor, which does not block, or is only read when [`is_readable_now`] says so.
    pub(crate) fn new(io: T) -> io::Result<Watched<T>> {
        match Runtime::current() {
            Runtime::Uring => uring::Watched::new(io).map(Watched::Uring),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => glommio::Watched::new(io).map(Watched::Glommio),
            #[cfg(feature = "testing")]
            Runtime::Manual => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// What it watches.
    pub(crate) fn get(&self) -> &T {
        match self {
            Watched::Uring(watched) => watched.get(),
            #[cfg(feature = "glommio")]
            Watched::Glommio(watched) => watched.get(),
        }
    }

    /// Waits until reading is worth a try.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Watched::Uring(watched) => watched.readable().await,
            #[cfg(feature = "glommio")]
            Watched::Glommio(watched) => watched.readable().await,
        }
    }

    /// Says that all that could be read was read: the next [`readable`](Self::readable) waits.
    pub(crate) fn clear_readable(&self) {
        match self {
            Watched::Uring(watched) => watched.clear_readable(),
            #[cfg(feature = "glommio")]
            Watched::Glommio(watched) => watched.clear_readable(),
        }
    }
}

/// Whether a read would not wait, for a descriptor that others share and so is not made non-blocking.
pub(crate) fn is_readable_now(io: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(io, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut watched, Some(&at_once)), Ok(count) if count > 0)
}
