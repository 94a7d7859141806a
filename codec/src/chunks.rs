//! Chunks of a byte stream that were received and not cut yet.

use std::collections::VecDeque;

use bytes::Bytes;

/// Chunks in order; readers take from the front of `current`.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// What is being cut.
    pub(crate) current: Bytes,
    /// What came before `current` was used up: as many as are pushed without being read.
    later: VecDeque<Bytes>,
}

impl Chunks {
    /// Takes the next chunk of the stream.
    #[inline]
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.current.is_empty() && self.later.is_empty() {
            self.current = chunk;
        } else {
            self.later.push_back(chunk);
        }
    }

    /// Goes on to the next chunk once `current` is used up; false when there is none.
    #[inline]
    pub(crate) fn next_chunk(&mut self) -> bool {
        let next = self.later.pop_front();
        let is_there = next.is_some();
        // Even without a next one: an empty rest would keep the memory of its whole chunk.
        self.current = next.unwrap_or_default();
        is_there
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_empty() && self.later.is_empty()
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        let later: usize = self.later.iter().map(Bytes::len).sum();
        self.current.len() + later
    }

    /// Copies what is left, so that it does not keep the memory that it was read into.
    pub(crate) fn own(&mut self) {
        for chunk in std::iter::once(&mut self.current).chain(&mut self.later) {
            *chunk = Bytes::copy_from_slice(chunk);
        }
    }
}
