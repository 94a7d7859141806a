//! The address of a request: a handle or a name.

use bytes::Bytes;

use super::EncodeError;
pub use crate::limits::NAME_BYTES_MAX;

/// The address of a request to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A service by its handle; 0 is a query for the handle of a name.
    Handle(u32),
    /// A service by a name of 1 to [`NAME_BYTES_MAX`] bytes, as `@name` or `.name`.
    Name(&'a [u8]),
}

impl Address<'_> {
    /// Bytes of the address on the wire, with the length byte of a name.
    ///
    /// # Errors
    /// [`EncodeError::NameLength`] for an empty name or one that is too long.
    #[inline]
    pub(crate) fn wire_bytes(&self) -> Result<usize, EncodeError> {
        match self {
            Self::Handle(_) => Ok(4),
            Self::Name(name) if (1..=NAME_BYTES_MAX).contains(&name.len()) => Ok(1 + name.len()),
            Self::Name(name) => Err(EncodeError::NameLength { bytes: name.len() }),
        }
    }
}

/// The address of a received request. Unlike a sent name, a received one may be empty, as in Skynet; no service has
/// that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestAddress {
    /// A service by its handle; 0 is a query for the handle of a name.
    Handle(u32),
    /// A service by name, 0 to [`NAME_BYTES_MAX`] bytes.
    Name(Bytes),
}

impl RequestAddress {
    /// The same address, borrowed, to forward the request.
    pub fn as_address(&self) -> Address<'_> {
        match self {
            Self::Handle(handle) => Address::Handle(*handle),
            Self::Name(name) => Address::Name(name),
        }
    }
}
