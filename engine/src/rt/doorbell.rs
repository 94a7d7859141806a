//! How other threads wake a shard that sleeps.
//!
//! A shard announces its sleep, looks at its queues once more, and then waits for a byte. A thread that
//! has put something into a queue rings: it writes that byte, but only when a sleep is announced, so a
//! busy shard costs its senders no system call. Sequentially consistent fences on both sides make sure
//! that either the shard sees the message or the sender sees the announcement.

use std::future::poll_fn;
use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use futures_lite::io::AsyncRead;
use glommio::net::UnixStream;

use super::sys;

/// The side that other threads hold.
pub(crate) struct Bell {
    asleep: AtomicBool,
    rings: AtomicU64,
    writer: StdUnixStream,
}

/// What a shard's thread needs to make its [`Sleeper`].
pub(crate) struct SleeperSeed {
    bell: Arc<Bell>,
    reader: StdUnixStream,
}

/// The side that the shard holds.
pub(crate) struct Sleeper {
    bell: Arc<Bell>,
    reader: UnixStream,
}

/// A bell and the seed of its sleeper, which the shard's thread turns into the sleeper.
pub(crate) fn pair() -> io::Result<(Arc<Bell>, SleeperSeed)> {
    let (writer, reader) = StdUnixStream::pair()?;
    writer.set_nonblocking(true)?;
    reader.set_nonblocking(true)?;
    let bell = Arc::new(Bell {
        asleep: AtomicBool::new(false),
        rings: AtomicU64::new(0),
        writer,
    });
    Ok((Arc::clone(&bell), SleeperSeed { bell, reader }))
}

impl Bell {
    /// Wakes the shard if it has announced a sleep. Call it after the message is in the queue.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        // The plain load first: a swap would fight for the cache line on every message.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            // At most one byte is under way per announced sleep, so the pipe is never full.
            let _ = (&self.writer).write(&[1]);
        }
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

impl SleeperSeed {
    /// Binds the reading end to this thread's executor.
    pub(crate) fn bind(self) -> Sleeper {
        Sleeper {
            bell: self.bell,
            reader: sys::executor_unix_stream(self.reader),
        }
    }
}

impl Sleeper {
    /// Announces a sleep. The caller must look at its queues once more before it [`waits`](Self::wait).
    pub(crate) fn announce(&self) {
        self.bell.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back. False when a ring has come first: its byte is under way, and the
    /// next [`wait`](Self::wait) returns early for it, which does no harm.
    pub(crate) fn take_back(&self) {
        self.bell.asleep.store(false, Ordering::Relaxed);
    }

    /// Waits until the bell rings.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64];
        let read = poll_fn(|context| Pin::new(&mut self.reader).poll_read(context, &mut bytes)).await?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the doorbell was closed",
            ));
        }
        Ok(())
    }
}
