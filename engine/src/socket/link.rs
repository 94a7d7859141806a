//! The output of a TCP connection of a service, in the form that [`Connection`](crate::core::connection::Connection)
//! writes.
//!
//! Invariants: the rest of a partially written chunk, whatever its priority, is the first of the chunks; chunks of one
//! priority keep their order; the tail is behind all chunks of its priority; `waiting` and the shard's sum count exactly
//! the bytes in the output.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};

use crate::core::connection::LinkIo;

/// Chunks of at most so many bytes are copied behind those that wait: the kernel takes one long slice sooner than many
/// short ones.
const COPIED_BYTES_MAX: usize = 512;

/// The memory that the first copied bytes take.
const TAIL_BYTES_MIN: usize = 512;

/// Copied bytes of one slice.
const TAIL_BYTES_MAX: usize = 16 << 10;

/// The output of one connection.
pub(super) struct Output {
    chunks: VecDeque<Bytes>,
    /// Copied bytes behind the chunks.
    tail: BytesMut,
    /// Low priority: written when there is nothing else. Few connections have any.
    #[expect(clippy::box_collection, reason = "a place for it is smaller")]
    low_chunks: Option<Box<VecDeque<Bytes>>>,
    waiting: usize,
    written: u64,
    /// The waiting bytes of all connections of the shard.
    total: Rc<Cell<usize>>,
}

impl Output {
    pub(super) fn new(total: Rc<Cell<usize>>) -> Output {
        Output {
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            low_chunks: None,
            waiting: 0,
            written: 0,
            total,
        }
    }

    /// Queues bytes behind the others; with low priority, behind all bytes without it, later ones too.
    pub(super) fn push(&mut self, bytes: Bytes, is_low: bool) {
        if bytes.is_empty() {
            return;
        }
        if !is_low && bytes.len() <= COPIED_BYTES_MAX && self.waiting > 0 {
            return self.push_copied(&[&bytes]);
        }
        self.count(bytes.len());
        if is_low {
            self.low_chunks.get_or_insert_default().push_back(bytes);
        } else {
            self.end_tail();
            self.chunks.push_back(bytes);
        }
    }

    /// Queues copies of bytes behind the others.
    pub(super) fn push_copied(&mut self, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return;
        }
        if self.tail.len() + length > TAIL_BYTES_MAX {
            self.end_tail();
        }
        self.count(length);
        if self.tail.capacity() == 0 {
            self.tail.reserve(length.max(TAIL_BYTES_MIN));
        }
        for part in parts {
            self.tail.extend_from_slice(part);
        }
    }

    /// Makes the tail a chunk.
    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    fn count(&mut self, length: usize) {
        self.waiting += length;
        self.total.set(self.total.get() + length);
    }

    /// The waiting bytes.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Removes bytes from the front.
    fn remove(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let Some(mut chunk) = self.next() else {
                return;
            };
            if chunk.len() > left {
                chunk.advance(left);
                self.chunks.push_front(chunk);
                return;
            }
            left -= chunk.len();
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.chunks.pop_front() {
            return Some(chunk);
        }
        if !self.tail.is_empty() {
            return Some(std::mem::take(&mut self.tail).freeze());
        }
        let low_chunks = self.low_chunks.as_mut()?;
        let chunk = low_chunks.pop_front();
        if low_chunks.is_empty() {
            self.low_chunks = None;
        }
        chunk
    }
}

impl LinkIo for Output {
    // Received bytes go to the owner directly.
    fn receive(&mut self, _chunk: Bytes) {}

    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        None
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let low_chunks = self.low_chunks.iter().flat_map(|chunks| chunks.iter());
        let chunks = self.chunks.iter().map(|chunk| &chunk[..]).chain(tail);
        let chunks = chunks.chain(low_chunks.map(|chunk| &chunk[..]));
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        count
    }

    fn transmitted(&mut self, count: usize) {
        self.waiting -= count;
        self.written += count as u64;
        self.total.set(self.total.get() - count);
        self.remove(count);
    }

    // What is sealed waits as before, until it is written.
    fn sealed(&mut self, count: usize) {
        self.remove(count);
    }

    fn sealed_written(&mut self, count: usize) {
        // The output of a connection that was cut has begun anew.
        let count = count.min(self.waiting);
        self.waiting -= count;
        self.written += count as u64;
        self.total.set(self.total.get() - count);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.total.set(self.total.get() - self.waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that would be written, in order.
    fn pending(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = output.transmit(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn low_priority_goes_last_but_never_into_the_middle_of_a_chunk() {
        let total = Rc::new(Cell::new(0));
        let mut output = Output::new(Rc::clone(&total));
        output.push(Bytes::from_static(b"low"), true);
        output.push(Bytes::from_static(b"high"), false);
        assert_eq!(pending(&output), b"highlow");
        output.transmitted(5);
        output.push(Bytes::from_static(b"late"), false);
        assert_eq!(pending(&output), b"owlate");
        assert_eq!((output.waiting(), total.get(), output.written()), (6, 6, 5));
    }

    #[test]
    fn short_chunks_behind_others_share_a_slice_and_keep_their_order() {
        let total = Rc::new(Cell::new(0));
        let mut output = Output::new(Rc::clone(&total));
        let long = Bytes::from(vec![b'l'; COPIED_BYTES_MAX + 1]);
        let mut expected = Vec::new();
        for round in 0..100_u8 {
            output.push(Bytes::copy_from_slice(&[round]), false);
            output.push_copied(&[&[round], b"", &[round, round]]);
            expected.extend([round; 4]);
            if round % 40 == 39 {
                output.push(long.clone(), false);
                expected.extend_from_slice(&long);
            }
        }
        output.push(Bytes::from_static(b"low"), true);
        output.push_copied(&[b"last"]);
        expected.extend_from_slice(b"lastlow");
        let mut slices = [IoSlice::new(&[]); 64];
        assert_eq!(output.transmit(&mut slices), 7);
        assert_eq!(output.waiting(), expected.len());
        let mut written = Vec::new();
        while output.waiting() > 0 {
            let first = pending(&output);
            let count = first.len().min(7);
            written.extend_from_slice(&first[..count]);
            output.transmitted(count);
        }
        assert_eq!(written, expected);
        assert_eq!(total.get(), 0);
        // Nothing waits, and no memory is held.
        assert_eq!(output.tail.capacity(), 0);
        let huge = vec![7; TAIL_BYTES_MAX + 1];
        output.push_copied(&[b"one"]);
        output.push_copied(&[&huge]);
        assert_eq!(pending(&output), [b"one", &huge[..]].concat());
    }

    #[test]
    fn what_is_sealed_waits_until_it_is_written() {
        let total = Rc::new(Cell::new(0));
        let mut output = Output::new(Rc::clone(&total));
        output.push(Bytes::from_static(b"12345"), false);
        output.sealed(3);
        assert_eq!(pending(&output), b"45");
        assert_eq!((output.waiting(), total.get(), output.written()), (5, 5, 0));
        output.sealed_written(3);
        assert_eq!((output.waiting(), total.get(), output.written()), (2, 2, 3));
        output.sealed(2);
        drop(output);
        assert_eq!(total.get(), 0);
    }

    #[test]
    fn dropped_output_is_no_longer_counted() {
        let total = Rc::new(Cell::new(7));
        let mut output = Output::new(Rc::clone(&total));
        output.push(Bytes::from_static(b"12345"), false);
        output.push(Bytes::new(), false);
        output.transmitted(2);
        assert_eq!(total.get(), 10);
        drop(output);
        assert_eq!(total.get(), 7);
    }
}
