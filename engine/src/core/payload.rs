//! The body of messages and replies, and the kind of a message.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use skyring_codec::seri::{self, Pack, Packer, Unpack, Value, ValueRef};

use crate::error::Error;

/// The kind of a message; the numbers are Skynet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Bytes without a format.
    pub const TEXT: Kind = Kind(0);
    /// Messages of the node itself: events of other nodes. Lua values, packed.
    pub const SYSTEM: Kind = Kind(4);
    /// Lua values, packed. Every message between nodes is of this kind.
    pub const LUA: Kind = Kind(10);
}

/// Packed values of at most so many bytes are copied out of the scratch buffer into memory of their exact size: one
/// allocation. Longer ones take the buffer with them.
const COPIED_BYTES_MAX: usize = 4 * 1024;

thread_local! {
    /// The buffer that values are packed into.
    static SCRATCH: RefCell<BytesMut> = RefCell::default();
}

fn build_with<E: Into<Error>>(
    scratch: &mut BytesMut,
    fill: impl FnOnce(&mut Packer<'_>) -> Result<(), E>,
) -> Result<Payload, Error> {
    scratch.clear();
    if let Err(error) = fill(&mut Packer::new(scratch)) {
        // It may have grown much before the error.
        *scratch = BytesMut::new();
        return Err(error.into());
    }
    Ok(Payload(match scratch.len() {
        0..=COPIED_BYTES_MAX => Bytes::copy_from_slice(scratch),
        _ => std::mem::take(scratch).freeze(),
    }))
}

/// Packed values: the body of a message or of a reply. Cloning it copies no bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl Payload {
    /// Its first value, if it is a text in UTF-8: by custom the command, or the name of the method.
    pub(crate) fn first_text(&self) -> Option<&str> {
        match seri::values(&self.0).next() {
            Some(Ok(ValueRef::String(bytes))) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Packs values: a tuple is several, anything else is one, `()` is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a value cannot be sent, for example a table nested too deeply.
    pub fn pack<T: Pack + ?Sized>(values: &T) -> Result<Payload, Error> {
        Payload::build(|packer| values.pack(packer))
    }

    /// Packs the values that a closure appends.
    ///
    /// # Errors
    /// [`Error::Invalid`] as of [`pack`](Self::pack), or the error of the closure.
    #[inline]
    pub fn build<E: Into<Error>>(
        fill: impl FnOnce(&mut Packer<'_>) -> Result<(), E>,
    ) -> Result<Payload, Error> {
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => build_with(&mut scratch, fill),
            // A value packs others while it is being packed.
            Err(_) => build_with(&mut BytesMut::new(), fill),
        })
    }

    /// Reads the values as `T`, borrowing where `T` can. Missing values are nil, further ones ignored.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the bytes are malformed or a value is not of the type asked for.
    pub fn unpack<'a, T: Unpack<'a>>(&'a self) -> Result<T, Error> {
        Ok(seri::unpack(&self.0)?)
    }

    /// Every value, owned.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the bytes are malformed.
    pub fn values(&self) -> Result<Vec<Value>, Error> {
        Ok(seri::unpack_all(&self.0)?)
    }
}
