//! Whom a request is for: a handle or a name.

use bytes::Bytes;

use super::EncodeError;
pub use crate::limits::NAME_BYTES_MAX;

/// Whom a request is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A service by its handle; 0 asks for the handle behind a name.
    Handle(u32),
    /// A service by a name of 1 to [`NAME_BYTES_MAX`] bytes, as `@name` or `.name`.
    Name(&'a [u8]),
}

impl Address<'_> {
    /// Bytes that the address takes on the wire, with the length byte of a name.
    ///
    /// # Errors
    /// [`EncodeError::NameLength`] for a name that has no byte or too many.
    #[inline]
    pub(crate) fn wire_bytes(&self) -> Result<usize, EncodeError> {
        match self {
            Self::Handle(_) => Ok(4),
            Self::Name(name) if (1..=NAME_BYTES_MAX).contains(&name.len()) => Ok(1 + name.len()),
            Self::Name(name) => Err(EncodeError::NameLength { bytes: name.len() }),
        }
    }
}

/// Whom a request that was received is for. Unlike what is sent, a received name may be empty, as
/// Skynet lets it; it is a name that nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestAddress {
    /// A service by its handle; 0 asks for the handle behind a name.
    Handle(u32),
    /// A service by name, 0 to [`NAME_BYTES_MAX`] bytes.
    Name(Bytes),
}

impl RequestAddress {
    /// The same address, borrowed, to send on.
    pub fn as_address(&self) -> Address<'_> {
        match self {
            Self::Handle(handle) => Address::Handle(*handle),
            Self::Name(name) => Address::Name(name),
        }
    }
}
