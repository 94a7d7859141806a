//! The skynet dialect: Skynet's cluster packages, byte for byte.
//!
//! A package is a 2-byte big-endian length and that many bytes; integers inside are little-endian. [`Framer`]
//! splits a byte stream into packages, [`decode_request`] and [`decode_response`] decode one package, and the
//! `encode_*` functions append packages to an [`OutBuffer`]. [`crate::link`] assigns packages to messages and
//! calls.
//!
//! Decoding accepts exactly what Skynet accepts: a name may be empty, bytes after the head of a multi-part request
//! to a name are ignored, sessions and totals may have any value. All else is a [`DecodeError`]. Payloads are
//! slices of the package, never copies.

mod address;
mod frames;
mod request;
mod response;

pub use address::{Address, NAME_BYTES_MAX, RequestAddress};
pub use frames::{Framer, PACKAGE_BYTES_MAX};
pub use request::{
    REQUEST_SMALL_BYTES_MAX, RequestFrame, TRACE_BYTES_MAX, decode_request, encode_push, encode_request,
    encode_trace, request_bytes,
};
pub use response::{
    ERROR_BYTES_MAX, RESPONSE_SMALL_BYTES_MAX, ResponseFrame, decode_response, encode_error_response,
    encode_ok_response,
};

use bytes::Bytes;

use crate::outbuffer::OutBuffer;

/// Payload bytes in one part of a multi-part message; only the last part may have fewer.
pub const PART_BYTES: usize = 32 * 1024;

/// The highest session number; the next one is 1 again. 0 means that no reply is expected.
pub const SESSION_MAX: u32 = i32::MAX as u32;

/// A package that Skynet would refuse too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A request package without a byte.
    #[error("empty request package")]
    Empty,
    /// The first byte of a request is no type of package.
    #[error("request package of unknown type {type_byte:#04x} ({bytes} bytes)")]
    RequestType {
        /// The byte of the type.
        type_byte: u8,
        /// Length of the package.
        bytes: usize,
    },
    /// A request package whose length does not fit its type.
    #[error("request package of type {type_byte:#04x} is {bytes} bytes long, its fields need {needed}")]
    RequestLength {
        /// The type of the package.
        type_byte: u8,
        /// Length of the package.
        bytes: usize,
        /// Bytes that its fixed fields and its name take.
        needed: usize,
    },
    /// The fifth byte of a response is no type of package.
    #[error("response package of unknown type {type_byte:#04x} for session {session}")]
    ResponseType {
        /// The byte of the type.
        type_byte: u8,
        /// The session of the answer.
        session: u32,
    },
    /// A response package that is too short for its fields, or a head that is too long.
    #[error("response package is {bytes} bytes long, its fields need {needed}")]
    ResponseLength {
        /// Length of the package.
        bytes: usize,
        /// Bytes that its fixed fields take.
        needed: usize,
    },
}

/// A message that the dialect cannot represent. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Names have 1 to [`NAME_BYTES_MAX`] bytes.
    #[error("a name of {bytes} bytes: names have 1 to 255")]
    NameLength {
        /// Length of the name.
        bytes: usize,
    },
    /// The total of a message is a 32-bit number.
    #[error("a message of {bytes} bytes: the limit is 4294967295")]
    MessageLength {
        /// Length of the payload.
        bytes: usize,
    },
    /// Trace tags have at most [`TRACE_BYTES_MAX`] bytes.
    #[error("a trace tag of {bytes} bytes: tags have at most 32768")]
    TraceLength {
        /// Length of the tag.
        bytes: usize,
    },
}

/// The four little-endian bytes at `at`; None when there are fewer.
#[inline]
fn number_at(package: &[u8], at: usize) -> Option<u32> {
    let bytes = package.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Writes the parts of a message: for each two length bytes, the bytes of `header`, and the part. `header` takes
/// whether its part is the last one.
fn put_parts(out: &mut OutBuffer, payload: &Bytes, header: impl Fn(bool) -> [u8; 5]) {
    let mut from = 0;
    while from < payload.len() {
        let to = (from + PART_BYTES).min(payload.len());
        let mut package = [0; 7];
        let length = (to - from + 5) as u16;
        package[..2].copy_from_slice(&length.to_be_bytes());
        package[2..].copy_from_slice(&header(to == payload.len()));
        out.put_slice(&package);
        out.put_bytes(&payload.slice(from..to));
        from = to;
    }
}
