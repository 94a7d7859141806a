//! Limits of both dialects.

/// The longest name in bytes: one byte holds the length.
pub const NAME_BYTES_MAX: usize = u8::MAX as usize;

/// A received trace tag longer than this, in bytes, is dropped or refused: tags are short, and unfinished messages keep
/// theirs.
pub const TRACE_KEPT_BYTES_MAX: usize = 255;
