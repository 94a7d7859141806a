//! What both bare call loops share: the frames, the server's callees, and the buffer that is read into.
//!
//! The loops do what a call between two processes cannot do without, and nothing else. Every read is split into frames,
//! the callee of each request is looked up in a hash map, and the replies to one read leave with one write. There are
//! no names, no deadlines, no reconnects and no mailboxes.
//!
//! A frame is [`HEADER_BYTES`] of little-endian numbers (length of the payload, session, target), then the payload.
//!
//! Invariants: one connection a loop; a payload is at most [`PAYLOAD_BYTES_MAX`] long; a client that receives nothing
//! for [`SILENCE_MAX`] ends with an error.

use std::io;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// Length of the header of a frame.
pub(super) const HEADER_BYTES: usize = 12;

/// Longest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// A client that receives nothing for this long ends.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The callee that clients of a floor ask.
pub(super) const TARGET: u32 = 17;

/// Callees of a floor's server, so that the look-up is a real one.
const TARGETS: u32 = 64;

/// Size of the buffers that are read into; they grow to the longest frame.
const READ_BYTES: usize = 256 << 10;

/// One frame that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Which call it belongs to.
    pub(super) session: u32,
    /// The callee that it is for.
    pub(super) target: u32,
    /// Its bytes.
    pub(super) payload: &'a [u8],
}

/// Appends a frame.
pub(super) fn put_frame(out: &mut Vec<u8>, session: u32, target: u32, payload: &[u8]) {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&session.to_le_bytes());
    header[8..].copy_from_slice(&target.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// The first frame of `received` and the bytes after it; `None` when it is incomplete.
///
/// # Errors
/// When the length of the frame is out of bounds.
fn next_frame(received: &[u8]) -> io::Result<Option<(Frame<'_>, &[u8])>> {
    let Some((header, rest)) = received.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [l0, l1, l2, l3, s0, s1, s2, s3, t0, t1, t2, t3] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(invalid("a frame is too long"));
    }
    Ok(rest.split_at_checked(length).map(|(payload, rest)| {
        let (session, target) = (
            u32::from_le_bytes([s0, s1, s2, s3]),
            u32::from_le_bytes([t0, t1, t2, t3]),
        );
        (
            Frame {
                session,
                target,
                payload,
            },
            rest,
        )
    }))
}

/// The error of bytes that no peer of these loops sends.
pub(super) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Passes every complete frame of `received` to `take`, and returns how many bytes those were.
///
/// # Errors
/// When the length of a frame is out of bounds, or `take` fails.
pub(super) fn take_frames(
    received: &[u8],
    mut take: impl FnMut(Frame<'_>) -> io::Result<()>,
) -> io::Result<usize> {
    let mut left = received;
    while let Some((frame, rest)) = next_frame(left)? {
        take(frame)?;
        left = rest;
    }
    Ok(received.len() - left.len())
}

/// Answers a payload, for a session, into the out-buffer.
type Callee = fn(&[u8], u32, &mut Vec<u8>);

/// The callees of a floor's server, found by their numbers.
pub(super) struct Callees(FxHashMap<u32, Callee>);

impl Default for Callees {
    fn default() -> Callees {
        fn echo(payload: &[u8], session: u32, out: &mut Vec<u8>) {
            put_frame(out, session, 0, payload);
        }
        Callees((0..TARGETS).map(|target| (target, echo as Callee)).collect())
    }
}

impl Callees {
    /// Answers every complete request of `received` into `out`, and returns the number of their bytes.
    ///
    /// # Errors
    /// When a request is too long, or for no callee.
    pub(super) fn answer(&self, received: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        take_frames(received, |request| {
            let Some(callee) = self.0.get(&request.target) else {
                return Err(invalid("a request is for no callee"));
            };
            callee(request.payload, request.session, out);
            Ok(())
        })
    }
}

/// Bytes that were read and not yet consumed, in memory that is reused.
pub(super) struct Received {
    bytes: Vec<u8>,
    filled: usize,
}

impl Default for Received {
    fn default() -> Received {
        Received {
            bytes: vec![0; READ_BYTES],
            filled: 0,
        }
    }
}

impl Received {
    /// The space for the next read; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            // Full of one incomplete frame, whose length was checked.
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Adds the bytes that were read into the [`space`](Self::space), and returns all bytes.
    pub(super) fn add_read(&mut self, read: usize) -> &[u8] {
        self.filled += read;
        &self.bytes[..self.filled]
    }

    /// Appends a copy of bytes that were read elsewhere, and returns all bytes.
    pub(super) fn append(&mut self, read: &[u8]) -> &[u8] {
        let end = self.filled + read.len();
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        self.bytes[self.filled..end].copy_from_slice(read);
        self.add_read(read.len())
    }

    /// Whether it has no incomplete frame.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Removes the first bytes.
    pub(super) fn consume(&mut self, used: usize) {
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        let payloads: [&[u8]; 3] = [b"first", b"", &[7; 1_000]];
        for (session, payload) in (0..).zip(payloads) {
            put_frame(&mut bytes, session, TARGET, payload);
        }
        for cut in 0..=bytes.len() {
            let mut received = Received::default();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                let mut left = received.append(part);
                let all = left.len();
                while let Some((frame, rest)) = next_frame(left).unwrap() {
                    found.push((frame.session, frame.target, frame.payload.to_vec()));
                    left = rest;
                }
                let used = all - left.len();
                received.consume(used);
            }
            assert!(received.is_empty());
            let expected = (0..)
                .zip(payloads)
                .map(|(session, payload)| (session, TARGET, payload.to_vec()));
            assert_eq!(found, expected.collect::<Vec<_>>(), "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_whose_length_is_too_large_is_an_error() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
        assert!(next_frame(&bytes).is_err());
        bytes[..4].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32).to_le_bytes());
        assert_eq!(next_frame(&bytes).unwrap(), None);
    }

    #[test]
    fn a_request_for_no_callee_is_an_error() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, 1, TARGETS, b"value");
        assert!(Callees::default().answer(&bytes, &mut Vec::new()).is_err());
    }

    #[test]
    fn received_bytes_grow_to_the_longest_frame() {
        let mut received = Received::default();
        let mut read = 0;
        while read < READ_BYTES * 3 {
            let space = received.space().len();
            assert!(space > 0);
            read += space;
            assert_eq!(received.add_read(space).len(), read);
        }
        received.consume(read);
        assert!(received.is_empty());
    }
}
