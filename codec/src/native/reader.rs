//! Splits a byte stream into frames.
//!
//! Invariants: a payload within one chunk is a slice of it; memory for a payload that straddles chunks grows with
//! the received bytes, to at most [`GROWTH`] times of them and never beyond the declared length; a message above
//! the limit is reported at its header, and its bytes are dropped as they arrive; nothing of a consumed chunk is
//! held.

use bytes::{Buf, Bytes};

use super::{FrameError, FrameKind, HEADER_BYTES, Header};
use crate::chunks::Chunks;

/// Memory for a payload that straddles chunks, in multiples of the received bytes. So a large payload reaches its
/// length in few steps, and a declared length alone reserves little.
const GROWTH: usize = 4;

/// Bytes of a payload that must have arrived, and must be missing, before the rest is read in place.
const ROOM_BYTES_MIN: usize = 16 << 10;

/// The state of the reader.
#[derive(Debug)]
enum State {
    /// The next byte begins a header.
    Between,
    /// A header that straddles chunks, and how many bytes of it have arrived.
    Head([u8; HEADER_BYTES], usize),
    /// An incomplete payload that straddles chunks.
    Payload(Vec<u8>),
    /// The remaining bytes of a refused message.
    Refused(usize),
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// More of the stream must arrive.
    Wait,
    /// A whole frame: see [`FrameReader::header`] and [`FrameReader::take_payload`].
    Frame,
    /// A message above the limit: see [`FrameReader::header`]. Its payload is skipped.
    TooLarge,
    /// No valid frame: see [`FrameReader::error`].
    Malformed,
}

/// Takes the chunks of a byte stream and returns frames. See the module documentation.
///
/// The common case has a fast path, because passing every frame through enums costs more than the rest of the work
/// for a small one.
#[derive(Debug)]
pub struct FrameReader {
    chunks: Chunks,
    state: State,
    header: Header,
    payload: Bytes,
    error: Option<FrameError>,
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

    /// A reader whose stream begins with the unread chunks of another one.
    pub(crate) fn starting_with(chunks: Chunks) -> Self {
        Self {
            chunks,
            state: State::Between,
            header: Header::new(FrameKind::Goodbye),
            payload: Bytes::new(),
            error: None,
        }
    }

    /// Takes the next chunk of the stream.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// The next frame, if it is within the current chunk and not longer than `message_bytes_max`, as most are.
    /// Otherwise [`FrameReader::step`] returns it.
    #[inline]
    pub fn take_whole(&mut self, message_bytes_max: usize) -> Option<(Header, Bytes)> {
        self.take_whole_if(message_bytes_max, |header| Some(*header))
    }

    /// Takes the next frame as [`FrameReader::take_whole`] does, if `accept` returns Some for its header; else the
    /// frame is not consumed.
    #[inline(always)]
    pub(crate) fn take_whole_if<T>(
        &mut self,
        message_bytes_max: usize,
        accept: impl FnOnce(&Header) -> Option<T>,
    ) -> Option<(T, Bytes)> {
        let current = &mut self.chunks.current;
        if !matches!(self.state, State::Between) {
            return None;
        }
        let header = Header::decode(current.first_chunk::<HEADER_BYTES>()?).ok()?;
        let length = header.length as usize;
        if length > message_bytes_max || current.len() - HEADER_BYTES < length {
            return None;
        }
        let accepted = accept(&header)?;
        current.advance(HEADER_BYTES);
        Some((accepted, take(current, length)))
    }

    /// Advances to the next frame. A message of more than `message_bytes_max` bytes is refused. After
    /// [`Step::Malformed`] every further step is the same.
    pub fn step(&mut self, message_bytes_max: usize) -> Step {
        while self.error.is_none() {
            if self.chunks.current.is_empty() && !self.chunks.next_chunk() && !self.is_payload_whole() {
                return Step::Wait;
            }
            let current = &mut self.chunks.current;
            match &mut self.state {
                State::Between => self.state = State::Head([0; HEADER_BYTES], 0),
                State::Head(bytes, filled) => {
                    let count = (HEADER_BYTES - *filled).min(current.len());
                    if let Some(unfilled) = bytes.get_mut(*filled..*filled + count) {
                        current.copy_to_slice(unfilled);
                    }
                    *filled += count;
                    if *filled < HEADER_BYTES {
                        continue;
                    }
                    match Header::decode(bytes) {
                        Ok(header) => self.header = header,
                        Err(error) => {
                            self.error = Some(error);
                            continue;
                        }
                    }
                    let length = self.header.length as usize;
                    if length > message_bytes_max {
                        self.state = State::Refused(length);
                        return Step::TooLarge;
                    }
                    if current.len() >= length {
                        self.state = State::Between;
                        self.payload = take(current, length);
                        return Step::Frame;
                    }
                    self.state = State::Payload(Vec::new());
                }
                State::Payload(payload) => {
                    let length = self.header.length as usize;
                    if payload.is_empty() && current.len() >= length {
                        self.state = State::Between;
                        self.payload = take(current, length);
                        return Step::Frame;
                    }
                    let count = (length - payload.len()).min(current.len());
                    reserve(payload, payload.len() + count, length);
                    payload.extend_from_slice(current.get(..count).unwrap_or_default());
                    current.advance(count);
                    if payload.len() == length {
                        self.payload = std::mem::take(payload).into();
                        self.state = State::Between;
                        return Step::Frame;
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
        Step::Malformed
    }

    /// Whether a payload that was read through [`FrameReader::room`] is complete.
    fn is_payload_whole(&self) -> bool {
        match &self.state {
            State::Payload(payload) => payload.len() == self.header.length as usize,
            _ => false,
        }
    }

    /// The buffer into which the next bytes of the stream may be read instead of into a chunk: the long payload
    /// that they belong to, and how many at most. None when they belong elsewhere, or when too few have arrived or
    /// are missing for this to be cheaper than a chunk. The next [`FrameReader::step`] takes the appended bytes
    /// into account.
    pub fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if !self.chunks.is_empty() {
            return None;
        }
        let length = self.header.length as usize;
        match &mut self.state {
            State::Payload(payload)
                if payload.len() >= ROOM_BYTES_MIN && length - payload.len() >= ROOM_BYTES_MIN =>
            {
                let filled = payload.len();
                if payload.capacity() - filled < ROOM_BYTES_MIN {
                    reserve(payload, filled + ROOM_BYTES_MIN, length);
                }
                let space = payload.capacity().min(length) - filled;
                Some((payload, space))
            }
            _ => None,
        }
    }

    /// The header of the last step.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload of the last step; empty when it was taken before.
    #[inline]
    pub fn take_payload(&mut self) -> Bytes {
        std::mem::take(&mut self.payload)
    }

    /// Why the stream is malformed.
    pub fn error(&self) -> Option<FrameError> {
        self.error
    }

    /// Whether a part of a frame is held or still to arrive, or unread chunks are held.
    pub fn has_partial(&self) -> bool {
        !(matches!(self.state, State::Between) && self.chunks.is_empty())
    }

    /// Memory in bytes of a payload that straddles chunks, and of unread chunks.
    pub fn held_bytes(&self) -> usize {
        let payload = match &self.state {
            State::Payload(payload) => payload.capacity(),
            _ => 0,
        };
        payload + self.chunks.len()
    }

    /// Copies the unread chunks, so that they do not keep their read buffers.
    pub fn own_chunks(&mut self) {
        self.chunks.own();
    }
}

/// Takes the first `length` bytes; an empty payload does not refer to the chunk.
#[inline]
fn take(chunk: &mut Bytes, length: usize) -> Bytes {
    if length == 0 {
        Bytes::new()
    } else {
        chunk.split_to(length)
    }
}

/// Reserves memory for `needed` bytes of a payload of `length`.
fn reserve(payload: &mut Vec<u8>, needed: usize, length: usize) {
    if needed > payload.capacity() {
        let wanted = (needed * GROWTH).min(length);
        payload.reserve_exact(wanted - payload.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::put_frame;
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

    #[derive(Debug, PartialEq)]
    enum Received {
        Frame(Header, Bytes),
        TooLarge(Header),
    }

    fn next(reader: &mut FrameReader, limit: usize) -> Option<Received> {
        if let Some((header, payload)) = reader.take_whole(limit) {
            return Some(Received::Frame(header, payload));
        }
        match reader.step(limit) {
            Step::Wait => None,
            Step::Frame => Some(Received::Frame(*reader.header(), reader.take_payload())),
            Step::TooLarge => Some(Received::TooLarge(*reader.header())),
            Step::Malformed => panic!("{:?}", reader.error()),
        }
    }

    fn all(reader: &mut FrameReader) -> Vec<Received> {
        std::iter::from_fn(|| next(reader, LIMIT)).collect()
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
    fn a_declared_length_reserves_nothing_and_memory_grows_with_the_input() {
        let length = 16 * 1024 * 1024;
        let mut reader = FrameReader::new();
        reader.push(Bytes::copy_from_slice(&header(length, 1).encode()));
        assert_eq!(next(&mut reader, length), None);
        assert_eq!(reader.held_bytes(), 0);
        let mut came = 0;
        while came < length {
            let chunk = Bytes::from(vec![7; 100_000.min(length - came)]);
            came += chunk.len();
            reader.push(chunk);
            let received = next(&mut reader, length);
            assert!(reader.held_bytes() <= (came * GROWTH).min(length));
            assert_eq!(received.is_some(), came == length);
        }
        assert_eq!(reader.held_bytes(), 0);
    }

    #[test]
    fn a_message_above_the_limit_is_refused_at_its_header_and_the_next_one_is_read() {
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
    fn an_error_is_repeated_however_the_header_was_split() {
        let mut bytes = header(0, 1).encode();
        bytes[4] = 77;
        for cut in [1, 5, HEADER_BYTES] {
            let mut reader = FrameReader::new();
            bytes
                .chunks(cut)
                .for_each(|piece| reader.push(Bytes::copy_from_slice(piece)));
            for _ in 0..3 {
                assert_eq!(reader.step(LIMIT), Step::Malformed);
                assert_eq!(reader.error(), Some(FrameError::Kind { kind: 77 }));
            }
        }
    }

    #[test]
    fn a_long_payload_is_read_in_place_up_to_its_end() {
        let (first, second) = (frame(1 << 20, 1), frame(20, 2));
        let mut stream = [first, second].concat();
        let mut reader = FrameReader::new();
        assert!(reader.room().is_none());
        let rest = stream.split_off(100_000);
        reader.push(stream.into());
        assert_eq!(reader.step(2 << 20), Step::Wait);
        let mut rest = &rest[..];
        let mut direct = 0;
        while let Some((payload, bytes_max)) = reader.room() {
            assert!(payload.capacity() <= (payload.len() + ROOM_BYTES_MIN) * GROWTH);
            let (now, later) = rest.split_at(bytes_max.min(70_000));
            payload.extend_from_slice(now);
            assert!(payload.len() <= 1 << 20);
            direct += now.len();
            rest = later;
        }
        assert!(direct > 900_000, "{direct}");
        reader.push(Bytes::copy_from_slice(rest));
        assert_eq!(reader.step(2 << 20), Step::Frame);
        assert_eq!(reader.header().session, 1);
        assert_eq!(reader.take_payload().len(), 1 << 20);
        assert_eq!(reader.step(2 << 20), Step::Frame);
        assert_eq!(reader.header().session, 2);
    }

    #[test]
    fn a_payload_that_was_read_in_place_is_returned_without_another_chunk() {
        let mut stream = frame(100_000, 1);
        let rest = stream.split_off(50_000);
        let mut reader = FrameReader::new();
        reader.push(stream.into());
        assert_eq!(reader.step(2 << 20), Step::Wait);
        let (payload, bytes_max) = reader.room().expect("half of it is missing");
        assert_eq!(bytes_max, rest.len());
        payload.extend_from_slice(&rest);
        assert!(reader.room().is_none());
        assert_eq!(reader.step(2 << 20), Step::Frame);
        assert_eq!(reader.take_payload().len(), 100_000);
        assert!(!reader.has_partial());
    }

    #[test]
    fn a_partial_frame_does_not_keep_its_chunk() {
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
                got.extend(std::iter::from_fn(|| next(&mut reader, LIMIT)).take(taken_between));
            }
            got.extend(all(&mut reader));
            prop_assert_eq!(got, expected);
            prop_assert!(!reader.has_partial());
        }
    }
}
