//! The bytes that a connection has received and its service has not read yet, in chunks.
//!
//! Invariants: `size` is the number of unread bytes; every chunk has unread bytes; a repeated search for the same
//! separator skips the bytes that it has already searched.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

#[derive(Default)]
pub(super) struct SocketBuffer {
    chunks: VecDeque<Bytes>,
    size: usize,
    /// The number of bytes at the front in which no `separator` begins.
    searched: usize,
    separator: Vec<u8>,
}

impl SocketBuffer {
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.size += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Removes up to `count` bytes from the front, and returns them without the last `skipped`.
    pub(super) fn pop(&mut self, count: usize, skipped: usize) -> Vec<u8> {
        let count = count.min(self.size);
        let mut popped = Vec::with_capacity(count);
        while popped.len() < count {
            let Some(chunk) = self.chunks.front_mut() else {
                break;
            };
            let part = chunk.len().min(count - popped.len());
            popped.extend_from_slice(&chunk[..part]);
            chunk.advance(part);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.size -= popped.len();
        self.searched = 0;
        popped.truncate(popped.len().saturating_sub(skipped));
        popped
    }

    pub(super) fn clear(&mut self) {
        *self = SocketBuffer::default();
    }

    /// The number of bytes before the first separator.
    pub(super) fn find(&mut self, separator: &[u8]) -> Option<usize> {
        let (&first, rest) = separator.split_first()?;
        if self.separator != separator {
            self.searched = 0;
            self.separator = separator.to_vec();
        }
        let mut begin = 0;
        for (number, chunk) in self.chunks.iter().enumerate() {
            let mut at = self.searched.saturating_sub(begin).min(chunk.len());
            while let Some(found) = chunk[at..].iter().position(|&byte| byte == first) {
                let position = begin + at + found;
                if position + separator.len() > self.size {
                    // The rest of the separator may still arrive.
                    self.searched = position;
                    return None;
                }
                at += found + 1;
                let mut following = chunk[at..]
                    .iter()
                    .chain(self.chunks.iter().skip(number + 1).flatten());
                if rest.iter().all(|byte| following.next() == Some(byte)) {
                    return Some(position);
                }
            }
            begin += chunk.len();
        }
        self.searched = self.size;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(chunks: &[&str]) -> SocketBuffer {
        let mut buffer = SocketBuffer::default();
        for chunk in chunks {
            buffer.push(Bytes::copy_from_slice(chunk.as_bytes()));
        }
        buffer
    }

    #[test]
    fn a_separator_is_found_wherever_the_chunks_are_split() {
        let text = "first\r\nsecond\r\r\nthird";
        for one in 0..text.len() {
            for two in one..text.len() {
                let mut buffer = buffer(&[&text[..one], &text[one..two], &text[two..]]);
                for line in ["first", "second\r"] {
                    let found = buffer.find(b"\r\n").expect("a separator");
                    assert_eq!(buffer.pop(found + 2, 2), line.as_bytes());
                }
                assert_eq!(buffer.find(b"\r\n"), None);
                assert_eq!((buffer.size(), buffer.pop(5, 0)), (5, b"third".to_vec()));
            }
        }
    }

    #[test]
    fn a_separator_that_arrives_byte_by_byte_is_found() {
        let mut buffer = SocketBuffer::default();
        for byte in b"ab\r\rc\r\n" {
            assert_eq!(buffer.find(b"\r\n"), None);
            buffer.push(Bytes::copy_from_slice(&[*byte]));
        }
        assert_eq!(buffer.find(b"\r\n"), Some(5));
        assert_eq!(buffer.find(b"c"), Some(4));
        assert_eq!(buffer.find(b"\r\n"), Some(5));
        assert_eq!(buffer.pop(100, 0), b"ab\r\rc\r\n");
        assert_eq!((buffer.size(), buffer.find(b"x")), (0, None));
    }
}
