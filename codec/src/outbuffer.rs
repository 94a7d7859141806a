//! Output bytes that are queued for the socket: small payloads copied together, large ones chained by reference.
//!
//! Copying a few hundred bytes costs less than another entry in a vectored write and another reference count; copying
//! thousands costs more. So [`OutBuffer::put_bytes`] copies payloads of at most [`COPY_BYTES_MAX`] into one tail and
//! holds longer ones as [`Bytes`].
//!
//! Invariants:
//! - bytes leave in the order in which they were put;
//! - `position_put() - position_transmitted() == len()`, and both positions only grow;
//! - an empty buffer retains at most [`KEPT_BYTES_MAX`] of memory for the next burst, and a steady flow within that
//!   allocates nothing.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Payloads of at most this many bytes are copied; longer ones are chained by reference.
pub const COPY_BYTES_MAX: usize = 512;

/// The most slices of one vectored write; more would not make it cheaper.
pub const SLICES_MAX: usize = 64;

/// Memory, in bytes, that is retained for copied bytes after a burst.
pub const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Entries for chained payloads that are retained after a burst.
const KEPT_CHAINED_MAX: usize = 1024;

/// The copied bytes are moved to the front only after this many transmitted ones.
const COMPACT_BYTES_MIN: usize = 64 * 1024;

/// A payload that is written from its own memory.
#[derive(Debug)]
struct Chained {
    /// Position in the stream of its first byte that was not transmitted.
    position: u64,
    bytes: Bytes,
}

/// Output bytes in order. See the module documentation.
#[derive(Debug, Default)]
pub struct OutBuffer {
    /// All copied bytes in order, after `copied_start` bytes that were transmitted.
    copied: Vec<u8>,
    copied_start: usize,
    /// Chained payloads in order; the copied bytes are between them in the stream.
    chained: VecDeque<Chained>,
    put: u64,
    transmitted: u64,
}

impl OutBuffer {
    /// An empty buffer, without an allocation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queued bytes.
    pub fn len(&self) -> usize {
        (self.put - self.transmitted) as usize
    }

    /// Whether no bytes are queued.
    pub fn is_empty(&self) -> bool {
        self.put == self.transmitted
    }

    /// Memory in bytes that it holds, for queued bytes and for the next burst.
    pub fn held_bytes(&self) -> usize {
        let copied = self.copied.len() - self.copied_start;
        self.copied.capacity() + (self.len() - copied) + self.chained.capacity() * size_of::<Chained>()
    }

    /// Frees the memory that is retained for the next burst, if the buffer is empty.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.copied = Vec::new();
            self.copied_start = 0;
            self.chained = VecDeque::new();
        }
    }

    /// How many bytes were ever put: the position of the next byte in the stream.
    pub fn position_put(&self) -> u64 {
        self.put
    }

    /// How many bytes were ever transmitted: the position of the first queued byte.
    pub fn position_transmitted(&self) -> u64 {
        self.transmitted
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
        self.put += bytes.len() as u64;
    }

    /// Appends `bytes`: a copy when short, a reference when longer than [`COPY_BYTES_MAX`].
    #[inline]
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_BYTES_MAX {
            self.put_slice(bytes);
        } else {
            self.chain(bytes.clone());
        }
    }

    /// Appends a header and its payload, as [`OutBuffer::put_slice`] and [`OutBuffer::put_bytes`] would.
    #[inline(always)]
    pub fn put_frame<const N: usize>(&mut self, header: &[u8; N], bytes: &Bytes) {
        if bytes.len() > COPY_BYTES_MAX {
            self.put_slice(header);
            return self.chain(bytes.clone());
        }
        self.copied.reserve(N + bytes.len());
        self.copied.extend_from_slice(header);
        self.copied.extend_from_slice(bytes);
        self.put += (N + bytes.len()) as u64;
    }

    #[inline(never)]
    fn chain(&mut self, bytes: Bytes) {
        let position = self.put;
        self.put += bytes.len() as u64;
        self.chained.push_back(Chained { position, bytes });
    }

    /// Fills `slices` from the front of the buffer and returns how many were filled. Bytes for which there is no
    /// slice remain for the next call.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut position = self.transmitted;
        let mut copied = self.copied.get(self.copied_start..).unwrap_or_default();
        let mut room = slices.iter_mut();
        for chained in &self.chained {
            let (before, after) = copied.split_at((chained.position - position) as usize);
            copied = after;
            for piece in [before, &chained.bytes[..]] {
                if piece.is_empty() {
                    continue;
                }
                let Some(slice) = room.next() else { return filled };
                *slice = IoSlice::new(piece);
                filled += 1;
            }
            position = chained.position + chained.bytes.len() as u64;
        }
        if !copied.is_empty()
            && let Some(slice) = room.next()
        {
            *slice = IoSlice::new(copied);
            filled += 1;
        }
        filled
    }

    /// Removes `count` bytes from the front: the socket has taken them.
    ///
    /// # Panics
    /// When `count` is larger than the buffer, which is a bug of the program, never caused by a peer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes transmitted of {}", self.len());
        let mut left = count as u64;
        while left > 0 {
            let Some(chained) = self.chained.front_mut() else {
                self.copied_start += left as usize;
                self.transmitted += left;
                break;
            };
            let before = (chained.position - self.transmitted).min(left);
            self.copied_start += before as usize;
            let within = (left - before).min(chained.bytes.len() as u64);
            // A payload after the transmitted bytes must not move.
            if within > 0 {
                chained.bytes.advance(within as usize);
                chained.position += within;
                if chained.bytes.is_empty() {
                    self.chained.pop_front();
                }
            }
            self.transmitted += before + within;
            left -= before + within;
        }
        self.reclaim();
    }

    /// Moves `count` bytes from the front to the end of `other`; chained payloads stay chained.
    ///
    /// # Panics
    /// As [`OutBuffer::advance`].
    pub fn move_front(&mut self, count: usize, other: &mut OutBuffer) {
        assert!(count <= self.len(), "{count} bytes moved of {}", self.len());
        let mut left = count;
        while left > 0 {
            let mut slice = [IoSlice::new(&[])];
            self.slices(&mut slice);
            let here = slice[0].len().min(left);
            match self.chained.front() {
                Some(chained) if chained.position == self.transmitted => {
                    other.put_bytes(&chained.bytes.slice(..here));
                }
                _ => other.put_slice(&slice[0][..here]),
            }
            self.advance(here);
            left -= here;
        }
    }

    /// Appends all queued bytes to `other` too; chained payloads stay chained.
    pub fn copy_to(&self, other: &mut OutBuffer) {
        let mut position = self.transmitted;
        let mut copied = self.copied.get(self.copied_start..).unwrap_or_default();
        for chained in &self.chained {
            let (before, after) = copied.split_at((chained.position - position) as usize);
            copied = after;
            other.put_slice(before);
            other.put_bytes(&chained.bytes);
            position = chained.position + chained.bytes.len() as u64;
        }
        other.put_slice(copied);
    }

    /// Drops all queued bytes; the positions advance as if they had been transmitted.
    pub fn clear(&mut self) {
        self.chained.clear();
        self.copied_start = self.copied.len();
        self.transmitted = self.put;
        self.reclaim();
    }

    /// Frees memory after a burst. At least as many bytes were transmitted before as are moved here.
    fn reclaim(&mut self) {
        let remaining = self.copied.len() - self.copied_start;
        if remaining == 0 {
            self.copied.clear();
            self.copied_start = 0;
        } else if self.copied_start >= COMPACT_BYTES_MIN && self.copied_start >= remaining {
            self.copied.drain(..self.copied_start);
            self.copied_start = 0;
        } else {
            return;
        }
        if self.copied.capacity() > KEPT_BYTES_MAX && remaining <= KEPT_BYTES_MAX / 2 {
            self.copied.shrink_to(KEPT_BYTES_MAX);
        }
        if self.chained.is_empty() && self.chained.capacity() > KEPT_CHAINED_MAX {
            self.chained.shrink_to(KEPT_CHAINED_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queued(out: &OutBuffer) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4096];
        let filled = out.slices(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }

    #[test]
    fn short_payloads_are_copied_together_and_long_ones_chained() {
        let mut out = OutBuffer::new();
        out.put_slice(b"head");
        out.put_bytes(&Bytes::from(vec![1; COPY_BYTES_MAX]));
        let long = Bytes::from(vec![2; COPY_BYTES_MAX + 1]);
        out.put_bytes(&long);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        assert_eq!(out.slices(&mut slices), 2);
        assert_eq!(slices[0].len(), 4 + COPY_BYTES_MAX);
        assert_eq!(slices[1].as_ptr(), long.as_ptr());
    }

    #[test]
    fn memory_after_a_burst_is_bounded() {
        let mut out = OutBuffer::new();
        for _ in 0..100_000 {
            out.put_slice(&[7; 100]);
        }
        for _ in 0..5_000 {
            out.put_bytes(&Bytes::from_static(&[0; COPY_BYTES_MAX + 1]));
        }
        assert!(out.copied.capacity() > KEPT_BYTES_MAX);
        out.advance(out.len());
        assert!(out.copied.capacity() <= KEPT_BYTES_MAX);
        assert!(out.chained.capacity() <= KEPT_CHAINED_MAX * 2);
    }

    #[test]
    fn held_memory_is_counted_and_released_when_the_buffer_is_empty() {
        let mut out = OutBuffer::new();
        assert_eq!(out.held_bytes(), 0);
        out.put_slice(&[1; 1000]);
        out.put_bytes(&Bytes::from(vec![2; 5000]));
        assert!((6000..10_000).contains(&out.held_bytes()), "{}", out.held_bytes());
        out.release();
        assert_eq!(out.len(), 6000);
        out.advance(6000);
        assert!(out.held_bytes() >= 1000);
        out.release();
        assert_eq!(out.held_bytes(), 0);
        out.put_slice(b"again");
        assert_eq!(queued(&out), b"again");
    }

    #[test]
    fn a_buffer_that_never_drains_does_not_grow() {
        let mut out = OutBuffer::new();
        out.put_slice(&[1; 1000]);
        for _ in 0..100_000 {
            out.put_slice(&[2; 1000]);
            out.advance(1000);
        }
        assert_eq!(out.len(), 1000);
        assert!(out.copied.capacity() <= 4 * COMPACT_BYTES_MIN);
    }

    #[test]
    #[should_panic(expected = "bytes transmitted of")]
    fn transmitting_more_than_is_queued_panics() {
        OutBuffer::new().advance(1);
    }

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_in_which_they_were_put(
            steps in proptest::collection::vec((0usize..1500, any::<bool>(), 0usize..2500), 1..60),
        ) {
            let mut out = OutBuffer::new();
            let mut model: Vec<u8> = Vec::new();
            let mut byte = 0u8;
            for (size, by_reference, taken) in steps {
                let piece: Vec<u8> = (0..size).map(|_| { byte = byte.wrapping_add(1); byte }).collect();
                model.extend(&piece);
                if by_reference { out.put_bytes(&Bytes::from(piece)) } else { out.put_slice(&piece) }
                prop_assert_eq!(queued(&out), &model[..]);
                let taken = taken.min(out.len());
                out.advance(taken);
                model.drain(..taken);
                prop_assert_eq!(queued(&out), &model[..]);
                prop_assert_eq!(out.position_put() - out.position_transmitted(), model.len() as u64);
            }
            let mut other = OutBuffer::new();
            out.copy_to(&mut other);
            prop_assert_eq!(queued(&other), &model[..]);
            other.clear();
            let half = model.len() / 2;
            out.move_front(half, &mut other);
            prop_assert_eq!(queued(&other), &model[..half]);
            prop_assert_eq!(queued(&out), &model[half..]);
            out.clear();
            prop_assert!(out.is_empty() && queued(&out).is_empty());
        }
    }
}
