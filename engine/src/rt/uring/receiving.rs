//! How a stream receives: one receive that stays armed while its reader wants bytes, and buffers that are given back
//! before the kernel is entered again.
//!
//! The kernel fills [provided buffers](super::provided), a few for all streams of a ring. What it has filled stays there
//! while the tasks run that were woken for it, and they copy it to where they want it: into the shard's
//! [`ReadBuffer`](crate::rt::read_buffer::ReadBuffer), or a long payload into its own place. What nobody has taken
//! before the next entry into the kernel is *set aside*, into memory of its stream, so that the kernel has all its
//! buffers again and a reader that does not read takes none from the others.
//!
//! A stream whose reader does not wait is not received any more once more than [`ASIDE_BYTES_STREAM_MAX`] of it lie
//! aside; its receive is armed again when its reader waits again. When more than [`ASIDE_BYTES_MAX`] of all
//! streams are set aside the ring is *crowded*: only what a reader waits for is received, one buffer each time. So a ring holds
//! at most [`RECEIVED_BYTES_MAX`] that nobody has read.
//!
//! Invariants: bytes are read in the order in which they came, set aside or not; a receive is armed for a stream at most
//! once; a stream that has something to read, or has ended, is ready; a receive that found no buffer is armed again
//! before the executor sleeps, if a task waits for it.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};

use super::marks::{Kind, Mark, SourceKey};
use super::operations::{Completion, Operation};
use super::provided::{BUFFERS, Filled, PROVIDED_BYTES};
use super::ring::Ring;
use super::sources::set_waker;

/// Bytes of one stream that are set aside before it is received no more.
pub(super) const ASIDE_BYTES_STREAM_MAX: usize = 64 << 10;

/// Bytes of all streams of a ring that are set aside before only those are received that a task waits for.
pub(super) const ASIDE_BYTES_MAX: usize = 16 << 20;

/// What one ring takes for bytes that were received and not read: the provided buffers, what is set aside, and
/// what of it came last, which is counted only then.
pub(in crate::rt) const RECEIVED_BYTES_MAX: usize = ASIDE_BYTES_MAX + 2 * PROVIDED_BYTES;

/// Receives that are armed again with one entry after they have found no buffer.
const REARMED_MAX: usize = BUFFERS as usize / 2;

/// Where the receive of a stream is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Stage {
    /// There is none.
    #[default]
    Idle,
    Armed,
    /// It was cancelled, and has not ended yet.
    Ending,
}

/// How a stream has ended.
#[derive(Clone, Copy)]
enum End {
    Closed,
    /// With this error of the system.
    Failed(i32),
}

/// What a stream has received.
#[derive(Default)]
pub(super) struct Receiving {
    stage: Stage,
    /// It was released to another owner, and is not received here any more.
    is_released: bool,
    /// Comes before what is filled.
    aside: BytesMut,
    filled: VecDeque<Filled>,
    /// Bytes of the first filled buffer that were read.
    read: usize,
    end: Option<End>,
    waker: Option<Waker>,
    /// It is in the ring's list of those that have found no buffer.
    is_starved: bool,
}

impl Receiving {
    pub(super) fn is_armed(&self) -> bool {
        self.stage != Stage::Idle
    }

    fn is_ready(&self) -> bool {
        !self.aside.is_empty() || !self.filled.is_empty() || self.end.is_some()
    }
}

/// What the streams of a ring have in common.
#[derive(Default)]
pub(super) struct Received {
    /// Streams with filled buffers.
    unread: Vec<SourceKey>,
    /// Streams whose receive has found no buffer.
    starved: VecDeque<SourceKey>,
    /// Bytes that are set aside.
    aside: usize,
    /// Too many are: only what a task waits for is received.
    is_crowded: bool,
}

impl Ring {
    // ---- for the reader ----

    /// Ready when there is something to read; otherwise the task is woken when there is.
    pub(super) fn poll_received(&self, key: SourceKey, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let receiving = &mut source.receiving;
            if receiving.is_ready() {
                return Poll::Ready(Ok(()));
            }
            set_waker(&mut receiving.waker, context);
            if receiving.is_armed() || receiving.is_starved || receiving.is_released {
                return Poll::Pending;
            }
        }
        match self.arm_receive(key) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn arm_receive(&self, key: SourceKey) -> io::Result<()> {
        let descriptor = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else {
                return Ok(());
            };
            debug_assert_eq!(source.receiving.stage, Stage::Idle);
            source.receiving.stage = Stage::Armed;
            source.descriptor
        };
        let armed = self.push(Operation::Receive {
            descriptor,
            stays_armed: !self.received.borrow().is_crowded,
            mark: Mark::new(key, Kind::Receive),
        });
        if armed.is_err()
            && let Some(source) = self.sources.borrow_mut().live(key)
        {
            source.receiving.stage = Stage::Idle;
        }
        armed
    }

    /// Hands over what was received, at most `bytes_max`, in pieces; says how much it was, 0 at the end of the
    /// stream. `WouldBlock` when there is nothing.
    pub(super) fn read(
        &self,
        key: SourceKey,
        bytes_max: usize,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        let mut sources = self.sources.borrow_mut();
        let Some(source) = sources.open(key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let receiving = &mut source.receiving;
        let mut left = bytes_max;
        if !receiving.aside.is_empty() {
            let count = left.min(receiving.aside.len());
            take(&receiving.aside[..count]);
            receiving.aside.advance(count);
            left -= count;
            self.count_aside(0, count);
            if receiving.aside.is_empty() {
                // An idle stream holds no memory.
                receiving.aside = BytesMut::new();
            }
        }
        while left > 0
            && let Some(filled) = receiving.filled.pop_front()
        {
            let provided = self.uring.provided();
            let bytes = &provided.bytes(&filled)[receiving.read..];
            let count = left.min(bytes.len());
            take(&bytes[..count]);
            left -= count;
            if count < bytes.len() {
                receiving.read += count;
                receiving.filled.push_front(filled);
            } else {
                receiving.read = 0;
                provided.recycle(filled);
            }
        }
        match (bytes_max - left, receiving.end) {
            (0, None) => Err(io::ErrorKind::WouldBlock.into()),
            (0, Some(End::Closed)) => Ok(0),
            (0, Some(End::Failed(error))) => Err(io::Error::from_raw_os_error(error)),
            (count, _) => Ok(count),
        }
    }

    /// Lets go of all that was received and not read.
    pub(super) fn discard_received(&self, key: SourceKey) {
        while matches!(self.read(key, usize::MAX, |_| {}), Ok(1..)) {}
    }

    /// Ready when nothing is received here any more. What was received before is still to be read.
    pub(super) fn poll_released(&self, key: SourceKey, context: &mut Context<'_>) -> Poll<()> {
        let is_armed = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else {
                return Poll::Ready(());
            };
            source.receiving.is_released = true;
            set_waker(&mut source.receiving.waker, context);
            source.receiving.is_armed()
        };
        if is_armed {
            self.end_receive(key);
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    // ---- for the ring ----

    /// Takes an armed receive back; it ends when its completion has come.
    fn end_receive(&self, key: SourceKey) {
        {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.live(key) else { return };
            if source.receiving.stage != Stage::Armed {
                return;
            }
            source.receiving.stage = Stage::Ending;
        }
        // Fails only with the ring itself.
        let _ = self.push(Operation::Cancel(Mark::new(key, Kind::Receive)));
    }

    /// Lets go of what a stream that is closing has received, and takes its receive back.
    pub(super) fn close_receiving(&self, key: SourceKey) {
        self.discard_received_live(key);
        self.end_receive(key);
    }

    fn discard_received_live(&self, key: SourceKey) {
        let mut sources = self.sources.borrow_mut();
        let Some(source) = sources.live(key) else { return };
        let receiving = &mut source.receiving;
        for filled in receiving.filled.drain(..) {
            self.uring.provided().recycle(filled);
        }
        self.count_aside(0, receiving.aside.len());
        receiving.aside = BytesMut::new();
        receiving.waker = None;
    }

    fn count_aside(&self, more: usize, less: usize) {
        let mut received = self.received.borrow_mut();
        received.aside = received.aside + more - less;
        if received.is_crowded && received.aside <= ASIDE_BYTES_MAX / 2 {
            received.is_crowded = false;
        }
    }

    /// A receive has brought something, or has ended.
    pub(super) fn complete_receive(&self, completion: Completion) -> io::Result<()> {
        let key = completion.mark.key();
        let mut rearms = false;
        let waker = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.live(key) else {
                debug_assert!(false, "a slot is free before its last completion");
                self.recycle(completion.filled);
                return Ok(());
            };
            let receiving = &mut source.receiving;
            if !completion.has_more {
                receiving.stage = Stage::Idle;
            }
            if sources.open(key).is_none() {
                self.recycle(completion.filled);
                let direct = sources.release(key);
                drop(sources);
                self.clear_direct(direct);
                return Ok(());
            }
            let Some(source) = sources.open(key) else {
                return Ok(());
            };
            let receiving = &mut source.receiving;
            match (completion.result, completion.filled) {
                (1.., Some(filled)) => {
                    if receiving.filled.is_empty() {
                        self.received.borrow_mut().unread.push(key);
                    }
                    receiving.filled.push_back(filled);
                }
                (result, filled) => {
                    self.recycle(filled);
                    match -result {
                        0 => receiving.end = Some(End::Closed),
                        libc::ENOBUFS => {
                            receiving.is_starved = true;
                            self.received.borrow_mut().starved.push_back(key);
                        }
                        // It was cancelled, or interrupted.
                        libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                        error => receiving.end = Some(End::Failed(error)),
                    }
                }
            }
            let is_waited_for = receiving.waker.is_some();
            if receiving.is_ready() || receiving.is_released {
                receiving.waker.take()
            } else {
                rearms = is_waited_for && !receiving.is_armed() && !receiving.is_starved;
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        if rearms { self.arm_receive(key) } else { Ok(()) }
    }

    pub(super) fn recycle(&self, filled: Option<Filled>) {
        if let Some(filled) = filled {
            self.uring.provided().recycle(filled);
        }
    }

    /// Puts aside what nobody has read, and arms again what has found no buffer. Before each entry into the kernel that
    /// may bring something.
    pub(super) fn set_aside(&self) -> io::Result<()> {
        let has_unread = !self.received.borrow().unread.is_empty();
        if has_unread {
            let mut unread = std::mem::take(&mut self.received.borrow_mut().unread);
            for key in unread.drain(..) {
                if self.set_stream_aside(key) {
                    self.end_receive(key);
                }
            }
            self.received.borrow_mut().unread = unread;
            self.check_crowded();
        }
        let count = self.received.borrow().starved.len();
        for _ in 0..count.min(REARMED_MAX) {
            self.rearm_starved()?;
        }
        Ok(())
    }

    /// True when this stream should not be received any more.
    fn set_stream_aside(&self, key: SourceKey) -> bool {
        let mut sources = self.sources.borrow_mut();
        let Some(source) = sources.open(key) else {
            return false;
        };
        let receiving = &mut source.receiving;
        for filled in receiving.filled.drain(..) {
            let provided = self.uring.provided();
            let bytes = &provided.bytes(&filled)[std::mem::take(&mut receiving.read)..];
            receiving.aside.extend_from_slice(bytes);
            self.count_aside(bytes.len(), 0);
            provided.recycle(filled);
        }
        receiving.aside.len() > ASIDE_BYTES_STREAM_MAX && receiving.waker.is_none()
    }

    /// Cancels all receives when too much is set aside. Those that a task waits for are armed again, for one buffer.
    fn check_crowded(&self) {
        {
            let mut received = self.received.borrow_mut();
            if received.is_crowded || received.aside <= ASIDE_BYTES_MAX {
                return;
            }
            received.is_crowded = true;
        }
        let armed: Vec<SourceKey> = {
            let sources = self.sources.borrow();
            let armed = sources
                .all_open()
                .filter(|(_, source)| source.receiving.is_armed());
            armed.map(|(key, _)| key).collect()
        };
        for key in armed {
            self.end_receive(key);
        }
    }

    fn rearm_starved(&self) -> io::Result<()> {
        let Some(key) = self.received.borrow_mut().starved.pop_front() else {
            return Ok(());
        };
        let is_wanted = {
            let mut sources = self.sources.borrow_mut();
            let Some(source) = sources.open(key) else {
                return Ok(());
            };
            source.receiving.is_starved = false;
            source.receiving.waker.is_some() && !source.receiving.is_armed() && !source.receiving.is_released
        };
        if is_wanted { self.arm_receive(key) } else { Ok(()) }
    }

    /// Whether receives are to be armed that may have something to bring at once.
    pub(super) fn has_starved(&self) -> bool {
        !self.received.borrow().starved.is_empty()
    }

    /// Bytes that are set aside.
    #[cfg(test)]
    pub(super) fn aside(&self) -> usize {
        self.received.borrow().aside
    }
}
