//! Bounds that both dialects keep.

/// Names have at most this many bytes, since one byte says how many.
pub const NAME_BYTES_MAX: usize = u8::MAX as usize;
