//! Splits a byte stream into packages.

use bytes::{Buf, Bytes, BytesMut};

use crate::chunks::Chunks;

/// The longest package that the 2-byte length can express.
pub const PACKAGE_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes of the length in front of each package.
const LENGTH_BYTES: usize = 2;

/// Takes the chunks of a byte stream and returns whole packages.
///
/// A package within one chunk is a slice of it; only one that straddles chunks is copied. Besides unread chunks at
/// most one package is held, and nothing of a consumed chunk, so that a few bytes of a package do not keep their
/// read buffer.
#[derive(Debug, Default)]
pub struct Framer {
    chunks: Chunks,
    /// The received part of a package that straddles chunks, with its length.
    begun: BytesMut,
}

impl Framer {
    /// A framer at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// The next whole package, without its length; None until more of the stream has arrived.
    #[inline]
    pub fn next_package(&mut self) -> Option<Bytes> {
        loop {
            let current = &mut self.chunks.current;
            if self.begun.is_empty()
                && let Some(length) = package_length(current)
                && current.len() >= LENGTH_BYTES + length
            {
                current.advance(LENGTH_BYTES);
                return Some(current.split_to(length));
            }
            if let Some(package) = self.finish_begun() {
                return Some(package);
            }
            if self.chunks.current.is_empty() && !self.chunks.next_chunk() {
                return None;
            }
        }
    }

    /// The length of the next package, as far as it is known: it may not have arrived.
    pub(crate) fn next_length(&self) -> Option<usize> {
        match self.begun.len() {
            0 => package_length(&self.chunks.current),
            _ => package_length(&self.begun),
        }
    }

    /// Whether the stream begins with bytes of these ranges, as far as it is not read. Whole packages are read first.
    pub(crate) fn begins_with(&self, ranges: &[std::ops::RangeInclusive<u8>]) -> bool {
        let mut bytes = self.begun.iter().chain(self.chunks.bytes());
        ranges
            .iter()
            .all(|range| bytes.next().is_some_and(|byte| range.contains(byte)))
    }

    /// Whether a part of a package is held, or unread chunks.
    pub fn has_partial(&self) -> bool {
        !(self.begun.is_empty() && self.chunks.is_empty())
    }

    /// Memory in bytes of a package that straddles chunks, and of unread chunks.
    pub fn held_bytes(&self) -> usize {
        self.begun.capacity() + self.chunks.len()
    }

    /// Copies the unread chunks, so that they do not keep their read buffers, which may be far larger. For a pause.
    pub fn own_chunks(&mut self) {
        self.chunks.own();
    }

    /// Drops all input: the next chunk begins a new stream.
    pub fn clear(&mut self) {
        self.chunks = Chunks::default();
        self.begun = BytesMut::new();
    }

    /// Takes the unread chunks, for a reader of what follows the last package. Call it between two packages: the
    /// bytes of a partial one would be lost.
    pub(crate) fn take_chunks(&mut self) -> Chunks {
        debug_assert!(self.begun.is_empty(), "within a package");
        std::mem::take(&mut self.chunks)
    }

    /// Moves the missing bytes of the package in `begun` out of `current`; returns the package when it is whole.
    fn finish_begun(&mut self) -> Option<Bytes> {
        if self.begun.len() < LENGTH_BYTES {
            self.fill_up_to(LENGTH_BYTES);
        }
        let length = package_length(&self.begun)?;
        self.fill_up_to(LENGTH_BYTES + length);
        if self.begun.len() < LENGTH_BYTES + length {
            return None;
        }
        // Taken whole: the rest that `split` leaves would keep the memory of the package.
        let mut package = std::mem::take(&mut self.begun).freeze();
        package.advance(LENGTH_BYTES);
        Some(package)
    }

    fn fill_up_to(&mut self, bytes: usize) {
        let take = (bytes - self.begun.len()).min(self.chunks.current.len());
        self.begun.extend_from_slice(&self.chunks.current[..take]);
        self.chunks.current.advance(take);
    }
}

#[inline]
fn package_length(bytes: &[u8]) -> Option<usize> {
    bytes
        .first_chunk::<LENGTH_BYTES>()
        .map(|length| usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_package_within_one_chunk_is_a_slice_of_it() {
        let chunk = Bytes::from_static(b"\x00\x03abc\x00\x00\x00\x01d\x00\x05ef");
        let within = chunk.as_ptr_range();
        let mut framer = Framer::new();
        framer.push(chunk);
        for expected in [&b"abc"[..], b"", b"d"] {
            let package = framer.next_package().expect("it is whole");
            assert_eq!(package, expected);
            assert!(package.is_empty() || within.contains(&package.as_ptr()));
        }
        assert_eq!(framer.next_package(), None);
        assert!(framer.has_partial());
        framer.push(Bytes::from_static(b"ghi"));
        assert_eq!(framer.next_package().as_deref(), Some(&b"efghi"[..]));
        assert!(!framer.has_partial());
    }

    #[test]
    fn a_declared_length_reserves_nothing() {
        let mut framer = Framer::new();
        framer.push(Bytes::from_static(b"\xff\xffx"));
        assert_eq!(framer.next_package(), None);
        assert!(framer.begun.capacity() < 1024);
    }

    #[test]
    fn a_partial_package_does_not_keep_its_chunk() {
        for stream in [&b"\x00"[..], b"\x00\x05", b"\x00\x05ab", b"\x00\x01z\x00\x05ab"] {
            let chunk = Bytes::copy_from_slice(stream);
            let mut framer = Framer::new();
            framer.push(chunk.clone());
            while framer.next_package().is_some() {}
            assert!(framer.has_partial());
            assert!(chunk.is_unique(), "{stream:?}");
        }
    }

    #[test]
    fn a_returned_package_is_not_held() {
        let mut framer = Framer::new();
        framer.push(Bytes::from_static(b"\x40\x00"));
        assert_eq!(framer.next_package(), None);
        framer.push(Bytes::from(vec![7; 0x4000]));
        assert!(framer.next_package().is_some());
        assert_eq!(framer.held_bytes(), 0);
    }

    #[test]
    fn owned_chunks_are_copies_and_counted() {
        let chunk = Bytes::from(b"\x00\x01a\x00\x01b".to_vec());
        let mut framer = Framer::new();
        framer.push(chunk.clone());
        framer.push(chunk.slice(3..));
        assert!(framer.next_package().is_some());
        assert_eq!(framer.held_bytes(), 6);
        framer.own_chunks();
        assert!(chunk.is_unique());
        assert_eq!(framer.held_bytes(), 6);
        let rest: Vec<Bytes> = std::iter::from_fn(|| framer.next_package()).collect();
        assert_eq!(rest, [&b"b"[..], b"b"]);
    }

    #[test]
    fn a_cleared_framer_begins_a_new_stream() {
        let mut framer = Framer::new();
        framer.push(Bytes::from_static(b"\x00\x09abc"));
        assert_eq!(framer.next_package(), None);
        framer.push(Bytes::from_static(b"de"));
        framer.clear();
        assert!(!framer.has_partial());
        framer.push(Bytes::from_static(b"\x00\x01z"));
        assert_eq!(framer.next_package().as_deref(), Some(&b"z"[..]));
    }

    proptest! {
        #[test]
        fn every_split_of_the_stream_gives_the_same_packages(
            packages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in proptest::collection::vec(1usize..400, 1..50),
            taken_between in prop_oneof![Just(0usize), Just(1), Just(usize::MAX)],
        ) {
            let mut stream = Vec::new();
            for package in &packages {
                stream.extend((package.len() as u16).to_be_bytes());
                stream.extend(package);
            }
            let mut framer = Framer::new();
            let mut got = Vec::new();
            let mut rest = Bytes::from(stream);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                framer.push(rest.split_to((*cut).min(rest.len())));
                let taken = std::iter::from_fn(|| framer.next_package()).take(taken_between);
                got.extend(taken.map(|package| package.to_vec()));
            }
            while let Some(package) = framer.next_package() { got.push(package.to_vec()) }
            prop_assert_eq!(got, packages);
            prop_assert!(!framer.has_partial());
        }
    }
}
