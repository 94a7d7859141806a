//! When to copy a payload that is stored for long.
//!
//! A payload is a slice of the chunk that it was read in, and keeps the memory of the whole chunk as long as it
//! lives. That costs nothing for a message that is handled at once, and much for a few bytes in a cache.

use bytes::Bytes;

/// Payloads of at most this many bytes are copied when they are stored. A longer one keeps its chunk: a copy would
/// cost more, and would save less memory.
pub const RETAINED_COPY_BYTES_MAX: usize = 4 * 1024;

/// The payload to store: a copy when it is small and shorter than its chunk of `chunk_bytes`, else the payload
/// itself.
#[inline]
pub fn detach(payload: Bytes, chunk_bytes: usize) -> Bytes {
    if payload.len() <= RETAINED_COPY_BYTES_MAX && payload.len() < chunk_bytes {
        Bytes::copy_from_slice(&payload)
    } else {
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_payload_does_not_keep_its_chunk_and_a_large_one_is_not_copied() {
        let chunk = Bytes::from(vec![7; 1024 * 1024]);
        let small = detach(chunk.slice(5..5 + RETAINED_COPY_BYTES_MAX), chunk.len());
        assert!(chunk.is_unique());
        assert!(small == chunk.slice(..RETAINED_COPY_BYTES_MAX));
        let large = detach(chunk.slice(5..6 + RETAINED_COPY_BYTES_MAX), chunk.len());
        assert_eq!(large.as_ptr(), chunk[5..].as_ptr());
    }

    #[test]
    fn a_payload_that_is_its_whole_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![7; 100]);
        assert_eq!(detach(chunk.clone(), 100).as_ptr(), chunk.as_ptr());
    }
}
