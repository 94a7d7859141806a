//! Bytes that wait for the socket: small ones copied together, large ones chained by reference.
//!
//! Copying a few hundred bytes costs less than another entry in a vectored write and another
//! reference count; copying thousands does not. So [`OutBuffer::put_bytes`] copies what is at most
//! [`COPY_BYTES_MAX`] long into one tail and keeps the rest as [`Bytes`].
//!
//! Invariants:
//! - bytes leave in the order in which they were put;
//! - `position_put() - position_transmitted() == len()`, and both positions only grow;
//! - when nothing waits, at most [`KEPT_BYTES_MAX`] of memory are kept for the next burst, and a
//!   steady flow within that allocates nothing.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Payloads of at most this many bytes are copied; longer ones are chained by reference.
pub const COPY_BYTES_MAX: usize = 512;

/// How many slices one vectored write needs at most; more would not make it cheaper.
pub const SLICES_MAX: usize = 64;

/// Memory, in bytes, that is kept for copied bytes once a burst is over.
pub const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Entries for chained payloads that are kept once a burst is over.
const KEPT_CHAINED_MAX: usize = 1024;

/// Transmitted bytes at the front of the tail are worth moving the rest only from here on.
const COMPACT_BYTES_MIN: usize = 64 * 1024;

/// A payload that is written from where it lies.
#[derive(Debug)]
struct Chained {
    /// Where in the stream its first byte that has not been transmitted lies.
    position: u64,
    bytes: Bytes,
}

/// Bytes waiting for the socket, in order. See the module's page.
#[derive(Debug, Default)]
pub struct OutBuffer {
    /// All copied bytes that wait, in order, after `copied_start` bytes that were transmitted.
    copied: Vec<u8>,
    copied_start: usize,
    /// Chained payloads in order; copied bytes fill the stream between them.
    chained: VecDeque<Chained>,
    put: u64,
    transmitted: u64,
}

impl OutBuffer {
    /// An empty buffer that has allocated nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        (self.put - self.transmitted) as usize
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.put == self.transmitted
    }

    /// Bytes of memory that it keeps, for what waits and for the next burst.
    pub fn held_bytes(&self) -> usize {
        let copied = self.copied.len() - self.copied_start;
        self.copied.capacity() + (self.len() - copied) + self.chained.capacity() * size_of::<Chained>()
    }

    /// Gives back the memory that is kept for the next burst, if nothing waits.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.copied = Vec::new();
            self.copied_start = 0;
            self.chained = VecDeque::new();
        }
    }

    /// How many bytes were ever put: the position in the stream at which the next byte goes.
    pub fn position_put(&self) -> u64 {
        self.put
    }

    /// How many bytes were ever transmitted: the position of the first byte that waits.
    pub fn position_transmitted(&self) -> u64 {
        self.transmitted
    }

    /// Copies `bytes` to the end.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
        self.put += bytes.len() as u64;
    }

    /// Puts `bytes` at the end: a copy when short, a reference when longer than [`COPY_BYTES_MAX`].
    #[inline]
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_BYTES_MAX {
            self.put_slice(bytes);
        } else {
            self.chain(bytes.clone());
        }
    }

    /// Puts a header and what follows it at the end, as [`OutBuffer::put_slice`] and
    /// [`OutBuffer::put_bytes`] would.
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

    /// Fills `slices` from the front of what waits and returns how many were filled. When there are
    /// too few slices the rest simply stays for the next call.
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
    /// When more is removed than waits, which is a mistake of the program, never of a peer.
    pub fn advance(&mut self, count: usize) {
        assert!(
            count <= self.len(),
            "{count} bytes transmitted of {} that wait",
            self.len()
        );
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
            // A payload whose turn has not come must not move, even by nothing.
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
        assert!(
            count <= self.len(),
            "{count} bytes moved of {} that wait",
            self.len()
        );
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

    /// Puts all that waits at the end of `other` as well; chained payloads stay chained.
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

    /// Drops everything that waits; the positions go on as if it had been transmitted.
    pub fn clear(&mut self) {
        self.chained.clear();
        self.copied_start = self.copied.len();
        self.transmitted = self.put;
        self.reclaim();
    }

    /// Gives back memory that a burst left behind. Moving what waits is paid for by at least as many
    /// bytes transmitted before.
    fn reclaim(&mut self) {
        let waiting = self.copied.len() - self.copied_start;
        if waiting == 0 {
            self.copied.clear();
            self.copied_start = 0;
        } else if self.copied_start >= COMPACT_BYTES_MIN && self.copied_start >= waiting {
            self.copied.drain(..self.copied_start);
            self.copied_start = 0;
        } else {
            return;
        }
        if self.copied.capacity() > KEPT_BYTES_MAX && waiting <= KEPT_BYTES_MAX / 2 {
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

    fn waiting(out: &OutBuffer) -> Vec<u8> {
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
    fn a_burst_leaves_bounded_memory_behind() {
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
    fn what_is_held_is_counted_and_given_back_when_nothing_waits() {
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
        assert_eq!(waiting(&out), b"again");
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
    fn transmitting_more_than_waits_is_a_mistake() {
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
                prop_assert_eq!(waiting(&out), &model[..]);
                let taken = taken.min(out.len());
                out.advance(taken);
                model.drain(..taken);
                prop_assert_eq!(waiting(&out), &model[..]);
                prop_assert_eq!(out.position_put() - out.position_transmitted(), model.len() as u64);
            }
            let mut other = OutBuffer::new();
            out.copy_to(&mut other);
            prop_assert_eq!(waiting(&other), &model[..]);
            other.clear();
            let half = model.len() / 2;
            out.move_front(half, &mut other);
            prop_assert_eq!(waiting(&other), &model[..half]);
            prop_assert_eq!(waiting(&out), &model[half..]);
            out.clear();
            prop_assert!(out.is_empty() && waiting(&out).is_empty());
        }
    }
}
