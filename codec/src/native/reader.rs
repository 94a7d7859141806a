//! Cuts a byte stream into frames.
//!
//! Invariants: a payload that lies within one chunk is a slice of it; memory for one that straddles chunks
//! grows as its bytes come, to at most [`GROWTH`] times of what came and never past the declared length;
//! a message longer than the limit is given out at its header, and its bytes are dropped as they come; of a
//! chunk that is used up nothing is kept.

use bytes::{Buf, Bytes};

use super::{FrameError, HEADER_BYTES, Header};
use crate::chunks::Chunks;

/// Memory for a payload that straddles chunks, in multiples of the bytes that came. Large reads thus reach
/// the whole length in few steps, and a declared length alone reserves little.
const GROWTH: usize = 4;

/// What the reader is in the middle of.
#[derive(Debug)]
enum State {
    /// Nothing: the next byte begins a header.
    Between,
    /// A header that straddles chunks, and how much of it has come.
    Head([u8; HEADER_BYTES], usize),
    /// A payload that straddles chunks.
    Payload(Header, Vec<u8>),
    /// So many bytes of a refused message.
    Refused(usize),
}

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A whole frame: its header and its payload.
    Frame(Header, Bytes),
    /// The header of a message that is longer than the limit; its bytes will be dropped.
    TooLarge(Header),
}

/// Takes chunks of a byte stream, however they were cut, and gives out frames. See the module's page.
#[derive(Debug)]
pub struct FrameReader {
    chunks: Chunks,
    state: State,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::starting_with(Chunks::default())
    }

    /// A reader whose stream begins with what another one left.
    pub(crate) fn starting_with(chunks: Chunks) -> Self {
        Self {
            chunks,
            state: State::Between,
        }
    }

    /// Takes the next chunk of the stream.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// The next frame; None until more of the stream has come. A message of more than
    /// `message_bytes_max` bytes is refused.
    ///
    /// # Errors
    /// [`FrameError`]; the stream is of no use any more, and the same error comes again.
    #[inline]
    pub fn next_frame(&mut self, message_bytes_max: usize) -> Result<Option<Received>, FrameError> {
        if matches!(self.state, State::Between)
            && let Some(bytes) = self.chunks.current.first_chunk::<HEADER_BYTES>()
        {
            let header = Header::decode(bytes)?;
            let length = header.length as usize;
            if length <= message_bytes_max && self.chunks.current.len() - HEADER_BYTES >= length {
                self.chunks.current.advance(HEADER_BYTES);
                let payload = take(&mut self.chunks.current, length);
                return Ok(Some(Received::Frame(header, payload)));
            }
        }
        self.next_straddling(message_bytes_max)
    }

    /// The same, for a frame that does not lie within the current chunk.
    fn next_straddling(&mut self, message_bytes_max: usize) -> Result<Option<Received>, FrameError> {
        loop {
            let current = &mut self.chunks.current;
            if current.is_empty() && !matches!(&self.state, State::Payload(header, _) if header.length == 0) {
                if self.chunks.next_chunk() {
                    continue;
                }
                return Ok(None);
            }
            match &mut self.state {
                State::Between => self.state = State::Head([0; HEADER_BYTES], 0),
                State::Head(bytes, filled) => {
                    let count = (HEADER_BYTES - *filled).min(current.len());
                    if let Some(room) = bytes.get_mut(*filled..*filled + count) {
                        current.copy_to_slice(room);
                    }
                    *filled += count;
                    if *filled < HEADER_BYTES {
                        continue;
                    }
                    let header = match Header::decode(bytes) {
                        Ok(header) => header,
                        Err(error) => {
                            // There must be a byte to look at for the error to come again.
                            self.chunks.current = Bytes::from_static(&[0]);
                            return Err(error);
                        }
                    };
                    if header.length as usize > message_bytes_max {
                        self.state = State::Refused(header.length as usize);
                        return Ok(Some(Received::TooLarge(header)));
                    }
                    self.state = State::Payload(header, Vec::new());
                }
                State::Payload(header, payload) => {
                    let header = *header;
                    let length = header.length as usize;
                    if payload.is_empty() && current.len() >= length {
                        let payload = take(current, length);
                        self.state = State::Between;
                        return Ok(Some(Received::Frame(header, payload)));
                    }
                    let count = (length - payload.len()).min(current.len());
                    make_room(payload, payload.len() + count, length);
                    payload.extend_from_slice(current.get(..count).unwrap_or_default());
                    current.advance(count);
                    if payload.len() == length {
                        let payload = std::mem::take(payload).into();
                        self.state = State::Between;
                        return Ok(Some(Received::Frame(header, payload)));
                    }
                }
                State::Refused(left) => {
                    let count = (*left).min(current.len());
                    current.advance(count);
                    *left -= count;
                    if *left == 0 {
                        self.state = State::Between;
                    }
                }
            }
        }
    }

    /// Whether a part of a frame is held or awaited, or chunks that were not cut yet.
    pub fn has_partial(&self) -> bool {
        !(matches!(self.state, State::Between) && self.chunks.is_empty())
    }

    /// Bytes of memory that are held: for a payload that straddles chunks, and of chunks not cut yet.
    pub fn held_bytes(&self) -> usize {
        let payload = match &self.state {
            State::Payload(_, payload) => payload.capacity(),
            _ => 0,
        };
        payload + self.chunks.len()
    }

    /// Copies what was not cut yet, so that it does not keep the memory that it was read into.
    pub fn own_chunks(&mut self) {
        self.chunks.own();
    }
}

/// Takes the first `length` bytes; of an empty payload nothing refers to the chunk.
#[inline]
fn take(chunk: &mut Bytes, length: usize) -> Bytes {
    if length == 0 {
        Bytes::new()
    } else {
        chunk.split_to(length)
    }
}

/// Makes room for `needed` bytes of a payload that will have `length`.
fn make_room(payload: &mut Vec<u8>, needed: usize, length: usize) {
    if needed > payload.capacity() {
        let wanted = (needed * GROWTH).min(length);
        payload.reserve_exact(wanted - payload.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::{FrameKind, put_frame};
    use crate::outbuffer::OutBuffer;
    use proptest::prelude::*;
    use std::io::IoSlice;

    const LIMIT: usize = 1_000;

    fn header(length: usize, session: u32) -> Header {
        Header {
            length: length as u32,
            session,
            ..Header::new(FrameKind::ReplyOk)
        }
    }

    fn frame(length: usize, session: u32) -> Vec<u8> {
        let mut out = OutBuffer::new();
        put_frame(
            &mut out,
            header(length, session),
            &vec![session as u8; length].into(),
        );
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = out.slices(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }

    fn all(reader: &mut FrameReader) -> Vec<Received> {
        std::iter::from_fn(|| reader.next_frame(LIMIT).expect("well-formed")).collect()
    }

    #[test]
    fn a_payload_within_one_chunk_is_a_slice_of_it() {
        let chunk = Bytes::from([frame(10, 1), frame(0, 2), frame(600, 3)].concat());
        let mut reader = FrameReader::new();
        reader.push(chunk.clone());
        let frames = all(&mut reader);
        assert_eq!(frames.len(), 3);
        for received in frames {
            let Received::Frame(_, payload) = received else {
                panic!("{received:?}")
            };
            assert!(payload.is_empty() || chunk.as_ptr_range().contains(&payload.as_ptr()));
        }
        assert!(!reader.has_partial());
    }

    #[test]
    fn a_payload_in_one_chunk_whose_header_was_in_another_is_a_slice_too() {
        let stream = Bytes::from(frame(600, 3));
        let mut reader = FrameReader::new();
        reader.push(stream.slice(..HEADER_BYTES));
        assert_eq!(all(&mut reader), []);
        reader.push(stream.slice(HEADER_BYTES..));
        let [Received::Frame(_, payload)] = &all(&mut reader)[..] else {
            panic!("one frame")
        };
        assert_eq!(payload.as_ptr(), stream[HEADER_BYTES..].as_ptr());
    }

    #[test]
    fn a_declared_length_reserves_nothing_and_growth_follows_what_came() {
        let length = 16 * 1024 * 1024;
        let mut reader = FrameReader::new();
        reader.push(Bytes::copy_from_slice(&header(length, 1).encode()));
        assert_eq!(reader.next_frame(length), Ok(None));
        assert_eq!(reader.held_bytes(), 0);
        let mut came = 0;
        while came < length {
            let chunk = Bytes::from(vec![7; 100_000.min(length - came)]);
            came += chunk.len();
            reader.push(chunk);
            let received = reader.next_frame(length).expect("well-formed");
            assert!(reader.held_bytes() <= (came * GROWTH).min(length));
            assert_eq!(received.is_some(), came == length);
        }
        assert_eq!(reader.held_bytes(), 0);
    }

    #[test]
    fn a_message_past_the_limit_is_refused_at_its_header_and_the_next_one_is_not() {
        let stream = [frame(LIMIT, 1), frame(LIMIT + 1, 2), frame(3, 3)].concat();
        for cut in [1, 7, 24, 25, 500, stream.len()] {
            let mut reader = FrameReader::new();
            let mut received = Vec::new();
            for piece in stream.chunks(cut) {
                reader.push(Bytes::copy_from_slice(piece));
                received.extend(all(&mut reader));
                assert!(reader.held_bytes() <= LIMIT);
            }
            let sessions: Vec<_> = received
                .iter()
                .map(|received| match received {
                    Received::Frame(header, _) => (header.session, true),
                    Received::TooLarge(header) => (header.session, false),
                })
                .collect();
            assert_eq!(sessions, [(1, true), (2, false), (3, true)]);
            assert!(!reader.has_partial());
        }
    }

    #[test]
    fn an_error_comes_again_however_the_header_was_cut() {
        let mut bytes = header(0, 1).encode();
        bytes[4] = 77;
        for cut in [1, 5, HEADER_BYTES] {
            let mut reader = FrameReader::new();
            bytes
                .chunks(cut)
                .for_each(|piece| reader.push(Bytes::copy_from_slice(piece)));
            for _ in 0..3 {
                assert_eq!(reader.next_frame(LIMIT), Err(FrameError::Kind { kind: 77 }));
            }
        }
    }

    #[test]
    fn the_beginning_of_a_frame_does_not_keep_the_chunk_that_it_came_in() {
        let stream = frame(100, 1);
        for bytes in [1, HEADER_BYTES, HEADER_BYTES + 9] {
            let chunk = Bytes::copy_from_slice(&stream[..bytes]);
            let mut reader = FrameReader::new();
            reader.push(chunk.clone());
            assert_eq!(all(&mut reader), []);
            assert!(reader.has_partial());
            assert!(chunk.is_unique(), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn every_split_of_the_stream_gives_the_same_frames(
            lengths in proptest::collection::vec(prop_oneof![0usize..40, 0usize..2_000], 0..20),
            cuts in proptest::collection::vec(1usize..400, 1..50),
            taken_between in prop_oneof![Just(0usize), Just(1), Just(usize::MAX)],
        ) {
            let frames = lengths.iter().enumerate().map(|(index, length)| frame(*length, index as u32 + 1));
            let mut rest = Bytes::from(frames.collect::<Vec<_>>().concat());
            let mut whole = FrameReader::new();
            whole.push(rest.clone());
            let expected = all(&mut whole);
            prop_assert_eq!(expected.len(), lengths.len());
            let mut reader = FrameReader::new();
            let mut got = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                reader.push(rest.split_to((*cut).min(rest.len())));
                got.extend(std::iter::from_fn(|| reader.next_frame(LIMIT).expect("well-formed")).take(taken_between));
            }
            got.extend(all(&mut reader));
            prop_assert_eq!(got, expected);
            prop_assert!(!reader.has_partial());
        }
    }
}
