//! The replies that the caller may not have received: retained as they were written, until it acknowledges them.
//!
//! They are a window, not a queue: above the limit the oldest are dropped. A caller that acknowledges its replies
//! never loses one. For a caller that does not, a session that needs a dropped reply cannot be resumed. So nothing
//! waits for an acknowledgement, which could be behind requests that are not read while something waits.
//!
//! Invariants: the retained frames have the numbers from `first` to `next() - 1`, in order; their bytes are at most
//! `bytes_max`; acknowledgements only grow, and never exceed the numbered frames.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::native::{FrameError, HEADER_BYTES};
use crate::outbuffer::OutBuffer;

/// Lengths whose memory is retained after a burst.
const KEPT_LENGTHS_MAX: usize = 16 * 1024;

/// Retained replies. See the module documentation.
#[derive(Debug)]
pub(super) struct Retained {
    frames: OutBuffer,
    /// The length of each frame.
    lengths: VecDeque<u32>,
    /// The number of the first frame.
    first: u64,
    acknowledged: u64,
    bytes_max: usize,
}

impl Retained {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            frames: OutBuffer::new(),
            lengths: VecDeque::new(),
            first: 0,
            acknowledged: 0,
            bytes_max,
        }
    }

    /// The number of the next reply.
    pub(super) fn next(&self) -> u64 {
        self.first + self.lengths.len() as u64
    }

    /// Retains a frame; a long payload by reference.
    #[inline]
    pub(super) fn put(&mut self, header: &[u8; HEADER_BYTES], payload: &Bytes) {
        self.frames.put_frame(header, payload);
        self.lengths.push_back((HEADER_BYTES + payload.len()) as u32);
        if self.frames.len() > self.bytes_max {
            self.trim(self.bytes_max);
        }
    }

    /// The other end has received all frames below `received`.
    ///
    /// # Errors
    /// When that is impossible: it has acknowledged more before, or there are fewer frames.
    pub(super) fn acknowledge(&mut self, received: u64) -> Result<(), FrameError> {
        if received < self.acknowledged || received > self.next() {
            let (acknowledged, sent) = (self.acknowledged, self.next());
            return Err(FrameError::Acknowledgement {
                received,
                acknowledged,
                sent,
            });
        }
        self.acknowledged = received;
        let mut count = received.saturating_sub(self.first) as usize;
        if fault!(AnswerDropped) {
            count = (count + 1).min(self.lengths.len());
        }
        self.drop_front(count);
        Ok(())
    }

    /// Drops the oldest frames until at most `bytes_max` are retained.
    pub(super) fn trim(&mut self, bytes_max: usize) {
        let mut left = self.frames.len();
        let mut count = 0;
        for length in &self.lengths {
            if left <= bytes_max {
                break;
            }
            left -= *length as usize;
            count += 1;
        }
        self.drop_front(count);
    }

    fn drop_front(&mut self, count: usize) {
        let bytes: usize = self.lengths.drain(..count).map(|length| length as usize).sum();
        self.frames.advance(bytes);
        self.first += count as u64;
        if self.lengths.is_empty() {
            self.lengths.shrink_to(KEPT_LENGTHS_MAX);
        }
    }

    /// Whether the frames from `received` on are retained.
    pub(super) fn can_replay(&self, received: u64) -> bool {
        received >= self.first.max(self.acknowledged) && received <= self.next()
    }

    /// Whether the other end has acknowledged more than the frames below `received`.
    pub(super) fn is_acknowledged_beyond(&self, received: u64) -> bool {
        received < self.acknowledged
    }

    /// Writes all retained frames.
    pub(super) fn replay(&self, out: &mut OutBuffer) {
        self.frames.copy_to(out);
    }

    /// Frees the memory that is kept for the next burst, if nothing is retained.
    pub(super) fn release(&mut self) {
        self.frames.release();
        if self.lengths.is_empty() {
            self.lengths = VecDeque::new();
        }
    }

    /// Memory in bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.frames.held_bytes() + self.lengths.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    fn put(retained: &mut Retained, byte: u8, payload_bytes: usize) {
        retained.put(&[byte; HEADER_BYTES], &vec![byte; payload_bytes].into());
    }

    /// The first byte of each frame that would be replayed.
    fn replayed(retained: &Retained) -> Vec<u8> {
        let mut out = OutBuffer::new();
        retained.replay(&mut out);
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = out.slices(&mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(bytes.len(), out.len());
        bytes
            .chunk_by(|one, next| one == next)
            .map(|frame| frame[0])
            .collect()
    }

    #[test]
    fn acknowledged_frames_are_dropped_and_the_rest_is_replayed_in_order() {
        let mut retained = Retained::new(1 << 20);
        for byte in 0..10 {
            put(&mut retained, byte, usize::from(byte) * 200);
        }
        assert_eq!(replayed(&retained), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(retained.acknowledge(4), Ok(()));
        assert_eq!(replayed(&retained), [4, 5, 6, 7, 8, 9]);
        assert!(retained.can_replay(4) && retained.can_replay(10));
        assert!(!retained.can_replay(3) && !retained.can_replay(11));
        assert_eq!(retained.acknowledge(10), Ok(()));
        retained.release();
        assert_eq!((replayed(&retained), retained.held_bytes()), (vec![], 0));
        put(&mut retained, 77, 5);
        assert_eq!((retained.next(), replayed(&retained)), (11, vec![77]));
    }

    #[test]
    fn an_impossible_acknowledgement_is_an_error() {
        let mut retained = Retained::new(1 << 20);
        put(&mut retained, 1, 5);
        put(&mut retained, 2, 5);
        assert_eq!(retained.acknowledge(1), Ok(()));
        for received in [0, 3, u64::MAX] {
            let error = FrameError::Acknowledgement {
                received,
                acknowledged: 1,
                sent: 2,
            };
            assert_eq!(retained.acknowledge(received), Err(error));
        }
        assert_eq!(replayed(&retained), [2]);
    }

    #[test]
    fn above_the_limit_the_oldest_are_dropped_and_cannot_be_replayed() {
        let mut retained = Retained::new(1_000);
        for byte in 0..100 {
            put(&mut retained, byte, 100);
            assert!(retained.frames.len() <= 1_000);
        }
        assert_eq!(replayed(&retained).len(), 1_000 / (HEADER_BYTES + 100));
        assert!(retained.can_replay(92) && !retained.can_replay(91));
        // The other end can still acknowledge the dropped ones.
        assert_eq!(retained.acknowledge(50), Ok(()));
        retained.trim(0);
        assert!(retained.can_replay(100) && !retained.can_replay(99));
    }
}
