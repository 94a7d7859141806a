//! Constants of the lua-seri format.
//!
//! A value starts with one byte: its type in the low three bits, a cookie in the high five. The following bytes are
//! little-endian.

/// The most tables around a packed value, as in Skynet.
///
/// The limit applies to values, so an empty table inside 32 others is allowed, and a value inside that table is
/// not.
pub const DEPTH_MAX: usize = 32;

pub(super) const TYPE_NIL: u8 = 0;
pub(super) const TYPE_BOOLEAN: u8 = 1;
pub(super) const TYPE_NUMBER: u8 = 2;
pub(super) const TYPE_USERDATA: u8 = 3;
pub(super) const TYPE_STRING_SHORT: u8 = 4;
pub(super) const TYPE_STRING_LONG: u8 = 5;
pub(super) const TYPE_TABLE: u8 = 6;

pub(super) const NUMBER_ZERO: u8 = 0;
pub(super) const NUMBER_U8: u8 = 1;
pub(super) const NUMBER_U16: u8 = 2;
pub(super) const NUMBER_I32: u8 = 4;
pub(super) const NUMBER_I64: u8 = 6;
pub(super) const NUMBER_F64: u8 = 8;

pub(super) const STRING_U16: u8 = 2;
pub(super) const STRING_U32: u8 = 4;

/// The first length that does not fit into the cookie of a short string.
pub(super) const STRING_SHORT_END: usize = 32;

/// The cookie of a table whose array size follows as an integer; smaller sizes are in the cookie.
pub(super) const ARRAY_SIZE_FOLLOWS: u8 = 31;

/// The first byte of a value.
#[inline]
pub(super) const fn head(kind: u8, cookie: u8) -> u8 {
    kind | (cookie << 3)
}

/// The type in the first byte of a value.
#[inline]
pub(super) const fn kind_of(head: u8) -> u8 {
    head & 0b111
}

/// The cookie in the first byte of a value.
#[inline]
pub(super) const fn cookie_of(head: u8) -> u8 {
    head >> 3
}
