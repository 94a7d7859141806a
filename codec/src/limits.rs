//! Limits of both dialects.

/// The longest name in bytes: one byte holds the length.
pub const NAME_BYTES_MAX: usize = u8::MAX as usize;
