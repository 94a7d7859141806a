//! Packages from the callee to the caller: answers, errors, and the parts of long answers.

use bytes::{Buf, Bytes};

use super::{DecodeError, EncodeError, PART_BYTES, number_at, put_parts};
use crate::outbuffer::OutBuffer;

/// The longest answer in one package; longer ones are sent in parts. (A request is sent in parts from one byte less
/// on.)
pub const RESPONSE_SMALL_BYTES_MAX: usize = PART_BYTES;

/// The longest error text, in bytes; longer ones are truncated.
pub const ERROR_BYTES_MAX: usize = 32 * 1024;

const ERROR: u8 = 0;
const OK: u8 = 1;
const HEAD: u8 = 2;
const PART: u8 = 3;
const PART_LAST: u8 = 4;

/// Bytes of session and type.
const FIELDS_BYTES: usize = 5;
/// Bytes of session, type and total.
const HEAD_BYTES: usize = 9;

/// A decoded package from a callee; payloads are slices of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseFrame {
    /// The call failed at the callee.
    Error {
        /// The session of the call.
        session: u32,
        /// The error text of the peer; not necessarily UTF-8.
        text: Bytes,
    },
    /// A whole answer.
    Ok {
        /// The session of the call.
        session: u32,
        /// The answer.
        payload: Bytes,
    },
    /// The head of an answer that follows in parts.
    Head {
        /// The session of the call.
        session: u32,
        /// Bytes of all parts together, as declared by the peer.
        total: u32,
    },
    /// A part of an answer that is not its last.
    Part {
        /// The session of the call.
        session: u32,
        /// The part.
        payload: Bytes,
    },
    /// The last part of an answer.
    LastPart {
        /// The session of the call.
        session: u32,
        /// The part.
        payload: Bytes,
    },
}

/// Decodes a package (without its length) from a callee.
///
/// # Errors
/// [`DecodeError::ResponseLength`] and [`DecodeError::ResponseType`], for packages that Skynet refuses too.
#[inline]
pub fn decode_response(mut package: Bytes) -> Result<ResponseFrame, DecodeError> {
    let bytes = package.len();
    let too_short = |needed| DecodeError::ResponseLength { bytes, needed };
    let (Some(session), Some(&type_byte)) = (number_at(&package, 0), package.get(4)) else {
        return Err(too_short(FIELDS_BYTES));
    };
    if type_byte == HEAD {
        let (Some(total), HEAD_BYTES) = (number_at(&package, FIELDS_BYTES), bytes) else {
            return Err(too_short(HEAD_BYTES));
        };
        return Ok(ResponseFrame::Head { session, total });
    }
    package.advance(FIELDS_BYTES);
    let payload = package;
    match type_byte {
        OK => Ok(ResponseFrame::Ok { session, payload }),
        ERROR => Ok(ResponseFrame::Error {
            session,
            text: payload,
        }),
        PART => Ok(ResponseFrame::Part { session, payload }),
        PART_LAST => Ok(ResponseFrame::LastPart { session, payload }),
        _ => Err(DecodeError::ResponseType { type_byte, session }),
    }
}

/// Appends the answer `payload` for `session`, in parts when it is long.
///
/// # Errors
/// [`EncodeError::MessageLength`]; nothing was written then.
#[inline]
pub fn encode_ok_response(out: &mut OutBuffer, session: u32, payload: &Bytes) -> Result<(), EncodeError> {
    if payload.len() <= RESPONSE_SMALL_BYTES_MAX {
        put_header(out, payload.len(), session, OK);
        out.put_bytes(payload);
        return Ok(());
    }
    let Ok(total) = u32::try_from(payload.len()) else {
        return Err(EncodeError::MessageLength { bytes: payload.len() });
    };
    put_header(out, 4, session, HEAD);
    out.put_slice(&total.to_le_bytes());
    let [a, b, c, d] = session.to_le_bytes();
    put_parts(out, payload, |is_last| {
        [a, b, c, d, if is_last { PART_LAST } else { PART }]
    });
    Ok(())
}

/// Appends an error for `session`; its text is truncated to [`ERROR_BYTES_MAX`] bytes.
pub fn encode_error_response(out: &mut OutBuffer, session: u32, text: &[u8]) {
    let text = text.get(..ERROR_BYTES_MAX).unwrap_or(text);
    put_header(out, text.len(), session, ERROR);
    out.put_slice(text);
}

/// Writes length, session and type of a package with `more_bytes` after them.
#[inline]
fn put_header(out: &mut OutBuffer, more_bytes: usize, session: u32, type_byte: u8) {
    let [high, low] = ((more_bytes + FIELDS_BYTES) as u16).to_be_bytes();
    let [s0, s1, s2, s3] = session.to_le_bytes();
    out.put_slice(&[high, low, s0, s1, s2, s3, type_byte]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_response_is_an_error_that_names_type_or_length() {
        let error_of = |package: &'static [u8]| decode_response(Bytes::from_static(package)).err();
        let length = |bytes, needed| Some(DecodeError::ResponseLength { bytes, needed });
        assert_eq!(error_of(b""), length(0, 5));
        assert_eq!(error_of(b"\x01\x00\x00\x00"), length(4, 5));
        assert_eq!(error_of(b"\x01\x00\x00\x00\x02\x00\x00\x00"), length(8, 9));
        assert_eq!(
            error_of(b"\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00"),
            length(10, 9)
        );
        let unknown = DecodeError::ResponseType {
            type_byte: 5,
            session: 1,
        };
        assert_eq!(error_of(b"\x01\x00\x00\x00\x05"), Some(unknown));
    }
}
