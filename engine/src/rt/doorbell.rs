//! How other threads wake a shard that sleeps.
//!
//! An executor announces its sleep, checks once more whether there is work, and then waits for its bell. A
//! thread that has put something into a queue rings: it writes to the bell's descriptor, but only
//! when a sleep is announced, so a busy shard costs its senders no system call. Sequentially consistent
//! fences on both sides ensure that either the shard sees the message or the sender sees the announcement.
//!
//! The descriptor is an eventfd that is polled and never read, or, for an executor that waits only for streams, one end
//! of a socket pair.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "glommio")]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

use super::Runtime;

/// What a ring writes to.
enum Signal {
    Event(OwnedFd),
    #[cfg(feature = "glommio")]
    Stream {
        writer: UnixStream,
        reader: UnixStream,
    },
    /// The manual runtime looks at it before each pass.
    #[cfg(feature = "testing")]
    Flag(AtomicBool),
}

impl Signal {
    fn new(runtime: Runtime) -> io::Result<Signal> {
        match runtime {
            #[cfg(feature = "glommio")]
            Runtime::Glommio => {
                let (writer, reader) = UnixStream::pair()?;
                writer.set_nonblocking(true)?;
                reader.set_nonblocking(true)?;
                Ok(Signal::Stream { writer, reader })
            }
            #[cfg(feature = "testing")]
            Runtime::Manual => Ok(Signal::Flag(AtomicBool::new(false))),
            _ => Ok(Signal::Event(eventfd(
                0,
                EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
            )?)),
        }
    }

    fn send(&self) {
        let _ = match self {
            // Nobody reads the number: each write is an arrival at the ring, and 2^64 of them are never reached.
            Signal::Event(event) => rustix::io::write(event, &1u64.to_ne_bytes()),
            // One byte for each announced sleep: the pair is never full.
            #[cfg(feature = "glommio")]
            Signal::Stream { writer, .. } => rustix::io::write(writer, &[1]),
            #[cfg(feature = "testing")]
            Signal::Flag(rung) => {
                rung.store(true, Ordering::Release);
                Ok(0)
            }
        };
    }
}

/// A shard's doorbell, held by everybody who may ring it.
pub(crate) struct Bell {
    asleep: AtomicBool,
    rings: AtomicU64,
    signal: Signal,
}

impl Bell {
    /// A bell of a shard on this runtime, with no sleep announced.
    pub(crate) fn new(runtime: Runtime) -> io::Result<Arc<Bell>> {
        Ok(Arc::new(Bell {
            asleep: AtomicBool::new(false),
            rings: AtomicU64::new(0),
            signal: Signal::new(runtime)?,
        }))
    }

    /// Wakes the shard if it has announced a sleep. Call it after the message is in the queue.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        // The plain load first: a swap would fight for the cache line on every message.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.signal.send();
        }
    }

    /// Announces a sleep. The caller must look for work once more before it waits.
    pub(crate) fn announce(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back. When a ring has come first, the next wait ends early for it, which does
    /// no harm.
    pub(crate) fn withdraw(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        #[cfg(feature = "testing")]
        if let Signal::Flag(rung) = &self.signal {
            rung.store(false, Ordering::Release);
        }
    }

    /// Whether a sleep is announced that nobody has ended yet.
    pub(crate) fn is_announced(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    /// Whether a ring has come since the last [`withdraw`](Self::withdraw).
    #[cfg(feature = "testing")]
    pub(super) fn is_rung(&self) -> bool {
        matches!(&self.signal, Signal::Flag(rung) if rung.load(Ordering::Acquire))
    }

    /// How often a sleeping shard was woken.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }
}

impl AsFd for Bell {
    /// What the executor waits on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.signal {
            Signal::Event(event) => event.as_fd(),
            #[cfg(feature = "glommio")]
            Signal::Stream { reader, .. } => reader.as_fd(),
            #[cfg(feature = "testing")]
            Signal::Flag(_) => panic!("no executor of the kernel waits for the bell of a test"),
        }
    }
}
