//! Received chunks of a byte stream that were not split into messages yet.

use std::collections::VecDeque;

use bytes::Bytes;

/// Chunks in order; readers take bytes from the front of `current`.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// The chunk that is being read.
    pub(crate) current: Bytes,
    /// Chunks that were received before `current` was consumed. The reader bounds their number.
    later: VecDeque<Bytes>,
}

impl Chunks {
    /// Appends the next chunk of the stream.
    #[inline]
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.current.is_empty() && self.later.is_empty() {
            self.current = chunk;
        } else {
            self.later.push_back(chunk);
        }
    }

    /// Moves to the next chunk after `current` is consumed; false when there is none.
    #[inline]
    pub(crate) fn next_chunk(&mut self) -> bool {
        let next = self.later.pop_front();
        let is_some = next.is_some();
        // Also without a next chunk: an empty slice would keep the memory of its whole chunk.
        self.current = next.unwrap_or_default();
        is_some
    }

    /// Whether no bytes are left.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_empty() && self.later.is_empty()
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        let later: usize = self.later.iter().map(Bytes::len).sum();
        self.current.len() + later
    }

    /// The bytes that are left.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.current.iter().chain(self.later.iter().flatten())
    }

    /// Copies the remaining bytes, so that they do not keep their read buffer.
    pub(crate) fn own(&mut self) {
        for chunk in std::iter::once(&mut self.current).chain(&mut self.later) {
            *chunk = Bytes::copy_from_slice(chunk);
        }
    }
}
