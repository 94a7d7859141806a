//! The output of a TCP connection of a service, in the form that [`Connection`](crate::core::connection::Connection)
//! writes.
//!
//! Invariants: a partially written chunk comes before everything else; chunks of one priority keep their order;
//! `waiting` and the shard's sum count exactly the bytes in the output.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use bytes::{Buf, Bytes};

use crate::core::connection::LinkIo;

/// The output of one connection.
pub(super) struct Output {
    /// The rest of a partially written chunk.
    partial: Option<Bytes>,
    chunks: VecDeque<Bytes>,
    /// Low priority: written when there is nothing else.
    low_chunks: VecDeque<Bytes>,
    waiting: usize,
    written: u64,
    /// The waiting bytes of all connections of the shard.
    total: Rc<Cell<usize>>,
}

impl Output {
    pub(super) fn new(total: Rc<Cell<usize>>) -> Output {
        Output {
            partial: None,
            chunks: VecDeque::new(),
            low_chunks: VecDeque::new(),
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
        self.waiting += bytes.len();
        self.total.set(self.total.get() + bytes.len());
        let chunks = if is_low {
            &mut self.low_chunks
        } else {
            &mut self.chunks
        };
        chunks.push_back(bytes);
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
                self.partial = Some(chunk);
                return;
            }
            left -= chunk.len();
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        self.partial
            .take()
            .or_else(|| self.chunks.pop_front())
            .or_else(|| self.low_chunks.pop_front())
    }
}

impl LinkIo for Output {
    // Received bytes go to the owner directly.
    fn receive(&mut self, _chunk: Bytes) {}

    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        None
    }

    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.partial.iter().chain(&self.chunks).chain(&self.low_chunks);
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
