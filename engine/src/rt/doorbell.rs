//! How other threads wake a shard that sleeps.
//!
//! An executor announces its sleep, looks once more whether there is work, and then waits on its ring. A
//! thread that has put something into a queue rings: it writes to an eventfd that the ring polls, but only
//! when a sleep is announced, so a busy shard costs its senders no system call. Sequentially consistent
//! fences on both sides make sure that either the shard sees the message or the sender sees the announcement.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

/// A shard's doorbell, held by everybody who may ring it.
pub(crate) struct Bell {
    asleep: AtomicBool,
    rings: AtomicU64,
    event: OwnedFd,
}

impl Bell {
    /// A bell that nobody sleeps at.
    pub(crate) fn new() -> io::Result<Arc<Bell>> {
        Ok(Arc::new(Bell {
            asleep: AtomicBool::new(false),
            rings: AtomicU64::new(0),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        }))
    }

    /// Wakes the shard if it has announced a sleep. Call it after the message is in the queue.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        // The plain load first: a swap would fight for the cache line on every message.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            // Nobody reads the number: each write is an arrival at the ring, and 2^64 of them are never reached.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Announces a sleep. The caller must look for work once more before it waits.
    pub(crate) fn announce(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back. When a ring has come first, the next wait ends early for it, which does
    /// no harm.
    pub(crate) fn take_back(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Whether a sleep is announced that nobody has ended yet.
    pub(crate) fn is_announced(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    /// How often a sleeping shard was woken.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
