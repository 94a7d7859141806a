//! The memory that the connections of a shard read into, one after the other, and how it is lent to payloads.
//!
//! What was read is split off as [`Bytes`], so payloads are slices of it. A buffer that is used up is lent out until
//! all of them are gone, and then used again.
//!
//! Invariant: what was read keeps at most [`LENT_BYTES_MAX`] of buffers from being used again, as long as payloads go
//! through [`ReadBuffer::lend`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use skyring_codec::retain::RETAINED_COPY_BYTES_MAX;
use skyring_codec::skynet::PACKAGE_BYTES_MAX;

/// Size of the buffer that the connections of a shard read into, one after the other.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// A read is not started with less room than this, which holds the largest package of the skynet dialect.
const READ_ROOM_BYTES_MIN: usize = 64 << 10;

/// Buffers that may be lent out, because payloads are slices of them, before payloads should be copied.
const LENT_BUFFERS_MAX: usize = 128;

/// Buffers that may be lent out before small payloads are copied: of those that are kept for long each would keep a
/// whole buffer.
const LENT_BUFFERS_SMALL_MAX: usize = 16;

/// What the lent buffers take at most, in bytes.
pub(crate) const LENT_BYTES_MAX: usize = LENT_BUFFERS_MAX * READ_BUFFER_BYTES;

/// While so many connections have read more than they have worked off, a read is short.
const LONG_READERS_MAX: usize = 64;

/// Bytes of a short read.
const SHORT_READ_BYTES: usize = 16 << 10;

/// The read buffers of one shard; see the module.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// Empty, with room for what has not been read yet; none before the first read.
    current: RefCell<Option<BytesMut>>,
    lent: RefCell<VecDeque<BytesMut>>,
    /// How many are lent out.
    lent_count: Cell<usize>,
    /// Connections that have not worked off what they read.
    busy: Cell<usize>,
}

impl ReadBuffer {
    /// So many buffers are lent out that what is kept for long should be copied: a slice of a few bytes
    /// keeps a whole buffer.
    pub(crate) fn is_scarce(&self) -> bool {
        self.lent_count.get() >= LENT_BUFFERS_MAX
    }

    /// A payload of what was read, for a receiver that may retain it: the payload itself, or a copy
    /// when so many buffers are lent out
    /// that a slice should not keep another.
    #[inline]
    pub(crate) fn lend(&self, payload: Bytes) -> Bytes {
        if self.lent_count.get() < LENT_BUFFERS_SMALL_MAX {
            payload
        } else {
            self.lend_scarce(payload)
        }
    }

    #[cold]
    fn lend_scarce(&self, payload: Bytes) -> Bytes {
        let is_copied = match self.lent_count.get() {
            // A longer one was read to a place of its own, and is no slice of a read buffer.
            LENT_BUFFERS_MAX.. => payload.len() <= PACKAGE_BYTES_MAX,
            _ => payload.len() <= RETAINED_COPY_BYTES_MAX,
        };
        if is_copied {
            Bytes::copy_from_slice(&payload)
        } else {
            payload
        }
    }

    /// A connection has read something that it will take time to work off.
    pub(crate) fn begin_work(&self) {
        self.busy.set(self.busy.get() + 1);
    }

    /// It has worked it off.
    pub(crate) fn end_work(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
    }

    /// How much the next read may bring.
    fn read_bytes_max(&self) -> usize {
        if self.busy.get() < LONG_READERS_MAX {
            READ_BUFFER_BYTES
        } else {
            SHORT_READ_BYTES
        }
    }

    /// Gives `read` a buffer to read into, and how much it may bring; splits off what it has read.
    pub(crate) fn fill<E>(
        &self,
        read: impl FnOnce(&mut BytesMut, usize) -> Result<usize, E>,
    ) -> Result<Bytes, E> {
        let mut current = self.current.borrow_mut();
        let buffer = match &mut *current {
            Some(buffer) if buffer.capacity() >= READ_ROOM_BYTES_MIN => buffer,
            used_up => {
                let renewed = self.renew(used_up.take());
                used_up.insert(renewed)
            }
        };
        let room = buffer.capacity().min(self.read_bytes_max());
        read(buffer, room).map(|_| buffer.split().freeze())
    }

    /// Lends a buffer out and gives another: one that has come back, or a new one.
    fn renew(&self, used_up: Option<BytesMut>) -> BytesMut {
        let mut lent = self.lent.borrow_mut();
        if let Some(mut used_up) = used_up
            // When there are too many it is not remembered; what is sliced from it then does not last.
            && lent.len() < LENT_BUFFERS_MAX
        {
            used_up.clear();
            lent.push_back(used_up);
        }
        let is_back = |buffer: &mut BytesMut| buffer.try_reclaim(READ_BUFFER_BYTES);
        // The oldest is the likeliest to have come back.
        let place = lent.iter_mut().position(is_back);
        let mut buffer = place.and_then(|place| lent.remove(place)).unwrap_or_default();
        // A burst leaves many behind, so each time one more is let go.
        if lent.len() > 1 && lent.front_mut().is_some_and(is_back) {
            lent.pop_front();
        }
        self.lent_count.set(lent.len());
        buffer.reserve(READ_BUFFER_BYTES);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    /// Reads `count` bytes, or as many as there is room for.
    fn read(buffer: &ReadBuffer, count: usize) -> Bytes {
        let filled = buffer.fill(|room, bytes_max| {
            let count = count.min(bytes_max);
            room.put_bytes(7, count);
            Ok::<_, ()>(count)
        });
        match filled {
            Ok(chunk) => chunk,
            Err(()) => panic!("reading into memory does not fail"),
        }
    }

    fn lent(buffer: &ReadBuffer) -> usize {
        buffer.lent.borrow().len()
    }

    #[test]
    fn memory_that_nobody_keeps_is_read_into_again() {
        let buffer = ReadBuffer::default();
        let mut places = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let chunk = read(&buffer, 100_000);
            assert_eq!(chunk.len(), 100_000);
            places.insert(chunk.as_ptr());
        }
        assert!(places.len() <= 4, "{} places", places.len());
        assert!(lent(&buffer) <= 2);
    }

    #[test]
    fn kept_slices_make_buffers_scarce_and_letting_go_of_them_ends_it() {
        let buffer = ReadBuffer::default();
        let mut kept = Vec::new();
        while lent(&buffer) < LENT_BUFFERS_MAX {
            kept.push(read(&buffer, READ_BUFFER_BYTES).slice(..1));
        }
        assert_eq!(kept.len(), LENT_BUFFERS_MAX + 1);
        // More are read into without being remembered, and what is kept keeps its bytes.
        for _ in 0..2 * LENT_BUFFERS_MAX {
            assert_eq!(read(&buffer, READ_BUFFER_BYTES).len(), READ_BUFFER_BYTES);
        }
        assert_eq!(lent(&buffer), LENT_BUFFERS_MAX);
        assert!(kept.iter().all(|slice| slice[..] == [7]));
        kept.clear();
        for _ in 0..2 * LENT_BUFFERS_MAX {
            read(&buffer, READ_BUFFER_BYTES);
        }
        assert!(lent(&buffer) <= 2, "{} after the burst", lent(&buffer));
    }

    #[test]
    fn small_payloads_are_copied_when_some_buffers_are_lent_and_all_when_many_are() {
        let buffer = ReadBuffer::default();
        let is_copied = |bytes: usize| {
            let payload = Bytes::from(vec![7; bytes]);
            buffer.lend(payload.clone()).as_ptr() != payload.as_ptr()
        };
        let sizes = [1, RETAINED_COPY_BYTES_MAX, PACKAGE_BYTES_MAX, 1 << 20];
        let mut kept = Vec::new();
        for (lent_out, copied) in [
            (LENT_BUFFERS_SMALL_MAX - 1, [false; 4]),
            (LENT_BUFFERS_SMALL_MAX, [true, true, false, false]),
            (LENT_BUFFERS_MAX, [true, true, true, false]),
        ] {
            while lent(&buffer) < lent_out {
                kept.push(read(&buffer, READ_BUFFER_BYTES).slice(..1));
            }
            assert_eq!(sizes.map(is_copied), copied, "{lent_out} lent out");
        }
    }

    #[test]
    fn reads_are_short_while_many_connections_are_busy() {
        let buffer = ReadBuffer::default();
        for _ in 0..LONG_READERS_MAX {
            assert_eq!(read(&buffer, usize::MAX).len(), READ_BUFFER_BYTES);
            buffer.begin_work();
        }
        assert_eq!(read(&buffer, usize::MAX).len(), SHORT_READ_BYTES);
        buffer.end_work();
        assert!(read(&buffer, usize::MAX).len() >= READ_ROOM_BYTES_MIN);
    }
}
