//! Packages from the caller to the callee: requests, pushes, their parts, trace tags.

use bytes::{Buf, Bytes};

use super::{Address, DecodeError, EncodeError, PART_BYTES, RequestAddress, number_at, put_parts};
use crate::outbuffer::OutBuffer;

/// The longest request payload in one package; longer ones are sent in parts.
pub const REQUEST_SMALL_BYTES_MAX: usize = PART_BYTES - 1;

/// The longest trace tag, in bytes.
pub const TRACE_BYTES_MAX: usize = 32 * 1024;

/// Bit of the type byte: the address is a name.
const TO_NAME: u8 = 0x80;
const SMALL: u8 = 0x00;
const HEAD_REQUEST: u8 = 0x01;
const HEAD_PUSH: u8 = 0x41;
const PART: u8 = 0x02;
const PART_LAST: u8 = 0x03;
const TRACE: u8 = 0x04;

/// Bytes of length, type, name length, name, session and total: the longest header.
const HEADER_BYTES_MAX: usize = 2 + 1 + 1 + super::NAME_BYTES_MAX + 4 + 4;

/// Bytes in front of each part: length, type, session.
const PART_HEADER_BYTES: usize = 2 + 1 + 4;

/// A decoded package from a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFrame {
    /// A whole request or, with session 0, a whole push.
    Small {
        /// The address of the service.
        address: RequestAddress,
        /// The session of the answer; 0 when none is expected.
        session: u32,
        /// A slice of the package.
        payload: Bytes,
    },
    /// The head of a message whose payload follows in parts.
    Head {
        /// The address of the service.
        address: RequestAddress,
        /// The session of the parts and, unless it is a push, of the answer.
        session: u32,
        /// Bytes of all parts together, as declared by the peer.
        total: u32,
        /// Whether no answer is expected.
        is_push: bool,
    },
    /// A part of a message.
    Part {
        /// The session of its head.
        session: u32,
        /// A slice of the package.
        payload: Bytes,
        /// Whether it completes the message.
        is_last: bool,
    },
    /// A trace tag for the next request.
    Trace {
        /// A slice of the package.
        tag: Bytes,
    },
}

/// Decodes a package (without its length) from a caller.
///
/// # Errors
/// A [`DecodeError`] with the type byte and the length, for packages that Skynet refuses too.
#[inline]
pub fn decode_request(mut package: Bytes) -> Result<RequestFrame, DecodeError> {
    let bytes = package.len();
    let type_byte = *package.first().ok_or(DecodeError::Empty)?;
    let too_short = |needed| DecodeError::RequestLength {
        type_byte,
        bytes,
        needed,
    };
    match type_byte {
        SMALL => {
            let (Some(handle), Some(session)) = (number_at(&package, 1), number_at(&package, 5)) else {
                return Err(too_short(9));
            };
            package.advance(9);
            Ok(RequestFrame::Small {
                address: RequestAddress::Handle(handle),
                session,
                payload: package,
            })
        }
        SMALL_TO_NAME | HEAD_REQUEST_TO_NAME | HEAD_PUSH_TO_NAME => decode_to_name(type_byte, package),
        HEAD_REQUEST | HEAD_PUSH => {
            let fields = (
                number_at(&package, 1),
                number_at(&package, 5),
                number_at(&package, 9),
            );
            let (Some(handle), Some(session), Some(total), 13) = (fields.0, fields.1, fields.2, bytes) else {
                return Err(too_short(13));
            };
            let address = RequestAddress::Handle(handle);
            Ok(RequestFrame::Head {
                address,
                session,
                total,
                is_push: type_byte == HEAD_PUSH,
            })
        }
        PART | PART_LAST => {
            let session = number_at(&package, 1).ok_or(too_short(5))?;
            package.advance(5);
            Ok(RequestFrame::Part {
                session,
                payload: package,
                is_last: type_byte == PART_LAST,
            })
        }
        TRACE => {
            package.advance(1);
            Ok(RequestFrame::Trace { tag: package })
        }
        _ => Err(DecodeError::RequestType { type_byte, bytes }),
    }
}

const SMALL_TO_NAME: u8 = SMALL | TO_NAME;
const HEAD_REQUEST_TO_NAME: u8 = HEAD_REQUEST | TO_NAME;
const HEAD_PUSH_TO_NAME: u8 = HEAD_PUSH | TO_NAME;

fn decode_to_name(type_byte: u8, mut package: Bytes) -> Result<RequestFrame, DecodeError> {
    let bytes = package.len();
    let too_short = |needed| DecodeError::RequestLength {
        type_byte,
        bytes,
        needed,
    };
    let name_end = 2 + usize::from(*package.get(1).ok_or(too_short(2))?);
    let session = number_at(&package, name_end);
    if type_byte == SMALL_TO_NAME {
        let session = session.ok_or(too_short(name_end + 4))?;
        let address = RequestAddress::Name(package.slice(2..name_end));
        package.advance(name_end + 4);
        return Ok(RequestFrame::Small {
            address,
            session,
            payload: package,
        });
    }
    let (Some(session), Some(total)) = (session, number_at(&package, name_end + 4)) else {
        return Err(too_short(name_end + 8));
    };
    let address = RequestAddress::Name(package.slice(2..name_end));
    Ok(RequestFrame::Head {
        address,
        session,
        total,
        is_push: type_byte == HEAD_PUSH_TO_NAME,
    })
}

/// Bytes on the wire of a request or push with a payload of `payload_bytes`.
///
/// # Errors
/// [`EncodeError::NameLength`] and [`EncodeError::MessageLength`].
#[inline]
pub fn request_bytes(address: &Address<'_>, payload_bytes: usize) -> Result<usize, EncodeError> {
    let header = 2 + 1 + address.wire_bytes()? + 4;
    if payload_bytes <= REQUEST_SMALL_BYTES_MAX {
        return Ok(header + payload_bytes);
    }
    if u32::try_from(payload_bytes).is_err() {
        return Err(EncodeError::MessageLength { bytes: payload_bytes });
    }
    Ok(header + 4 + payload_bytes + payload_bytes.div_ceil(PART_BYTES) * PART_HEADER_BYTES)
}

/// Appends a request that expects an answer for `session`, in parts when it is long.
///
/// # Errors
/// As [`request_bytes`]; nothing was written then.
#[inline]
pub fn encode_request(
    out: &mut OutBuffer,
    address: Address<'_>,
    session: u32,
    payload: &Bytes,
) -> Result<(), EncodeError> {
    debug_assert!(
        (1..=super::SESSION_MAX).contains(&session),
        "session {session} cannot be answered"
    );
    encode(out, address, session, payload, HEAD_REQUEST)
}

/// Appends a push. A long one is sent in parts with the number `session`; a short one does not use it.
///
/// # Errors
/// As [`request_bytes`]; nothing was written then.
#[inline]
pub fn encode_push(
    out: &mut OutBuffer,
    address: Address<'_>,
    session: u32,
    payload: &Bytes,
) -> Result<(), EncodeError> {
    let session = if payload.len() <= REQUEST_SMALL_BYTES_MAX {
        0
    } else {
        session
    };
    encode(out, address, session, payload, HEAD_PUSH)
}

#[inline]
fn encode(
    out: &mut OutBuffer,
    address: Address<'_>,
    session: u32,
    payload: &Bytes,
    head_type: u8,
) -> Result<(), EncodeError> {
    let wire_bytes = request_bytes(&address, payload.len())?;
    if payload.len() <= REQUEST_SMALL_BYTES_MAX {
        let length = (wire_bytes - 2) as u16;
        put_header(out, length, SMALL, address, session, &[]);
        out.put_bytes(payload);
        return Ok(());
    }
    let total = (payload.len() as u32).to_le_bytes();
    let length = (1 + address.wire_bytes()? + 4 + 4) as u16;
    put_header(out, length, head_type, address, session, &total);
    let [a, b, c, d] = session.to_le_bytes();
    put_parts(out, payload, |is_last| {
        [if is_last { PART_LAST } else { PART }, a, b, c, d]
    });
    Ok(())
}

/// Writes length, type, address, session and `more`. The length of the name was checked before.
#[inline]
fn put_header(
    out: &mut OutBuffer,
    length: u16,
    type_byte: u8,
    address: Address<'_>,
    session: u32,
    more: &[u8],
) {
    let [high, low] = length.to_be_bytes();
    match address {
        Address::Handle(handle) => {
            let [h0, h1, h2, h3] = handle.to_le_bytes();
            let [s0, s1, s2, s3] = session.to_le_bytes();
            out.put_slice(&[high, low, type_byte, h0, h1, h2, h3, s0, s1, s2, s3]);
            out.put_slice(more);
        }
        Address::Name(name) => {
            let mut header = [0; HEADER_BYTES_MAX];
            let mut end = 0;
            let name_length = name.len() as u8;
            for field in [
                &[high, low, type_byte | TO_NAME, name_length],
                name,
                &session.to_le_bytes()[..],
                more,
            ] {
                header[end..end + field.len()].copy_from_slice(field);
                end += field.len();
            }
            out.put_slice(&header[..end]);
        }
    }
}

/// Appends a trace tag for the request that follows.
///
/// # Errors
/// [`EncodeError::TraceLength`] for more than [`TRACE_BYTES_MAX`].
pub fn encode_trace(out: &mut OutBuffer, tag: &[u8]) -> Result<(), EncodeError> {
    if tag.len() > TRACE_BYTES_MAX {
        return Err(EncodeError::TraceLength { bytes: tag.len() });
    }
    let [high, low] = (tag.len() as u16 + 1).to_be_bytes();
    out.put_slice(&[high, low, TRACE]);
    out.put_slice(tag);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(package: &'static [u8]) -> DecodeError {
        decode_request(Bytes::from_static(package)).expect_err("it is malformed")
    }

    #[test]
    fn a_malformed_request_is_an_error_that_names_type_and_length() {
        let length = |type_byte, bytes, needed| DecodeError::RequestLength {
            type_byte,
            bytes,
            needed,
        };
        assert_eq!(error_of(b""), DecodeError::Empty);
        assert_eq!(
            error_of(b"\x05abc"),
            DecodeError::RequestType {
                type_byte: 5,
                bytes: 4
            }
        );
        assert_eq!(error_of(&[0; 8]), length(0, 8, 9));
        assert_eq!(error_of(&[1; 12]), length(1, 12, 13));
        assert_eq!(error_of(&[0x41; 14]), length(0x41, 14, 13));
        assert_eq!(error_of(&[3; 4]), length(3, 4, 5));
        assert_eq!(error_of(&[0x80]), length(0x80, 1, 2));
        assert_eq!(error_of(b"\x80\x02ab\x01\x00\x00"), length(0x80, 7, 8));
        assert_eq!(
            error_of(b"\x81\x01a\x01\x00\x00\x00\x01\x00\x00"),
            length(0x81, 10, 11)
        );
        assert_eq!(error_of(b"\xc1\xff"), length(0xc1, 2, 265));
    }

    #[test]
    fn packages_that_skynet_accepts_are_accepted() {
        let empty_name = decode_request(Bytes::from_static(b"\x80\x00\x07\x00\x00\x00x"));
        let Ok(RequestFrame::Small {
            address,
            session: 7,
            payload,
        }) = empty_name
        else {
            panic!("{empty_name:?}")
        };
        assert_eq!(
            (address, &payload[..]),
            (RequestAddress::Name(Bytes::new()), &b"x"[..])
        );
        let trailing = decode_request(Bytes::from_static(
            b"\x81\x01a\x01\x00\x00\x00\x02\x00\x00\x00more",
        ));
        assert!(matches!(
            trailing,
            Ok(RequestFrame::Head {
                session: 1,
                total: 2,
                is_push: false,
                ..
            })
        ));
    }

    #[test]
    fn a_name_without_a_byte_or_with_too_many_is_refused_and_nothing_written() {
        let mut out = OutBuffer::new();
        for name in [&b""[..], &[b'n'; 256]] {
            let refused = encode_request(&mut out, Address::Name(name), 1, &Bytes::new());
            assert_eq!(refused, Err(EncodeError::NameLength { bytes: name.len() }));
        }
        assert!(out.is_empty());
        assert_eq!(
            encode_request(&mut out, Address::Name(&[b'n'; 255]), 1, &Bytes::new()),
            Ok(())
        );
        assert_eq!(out.len(), 2 + 6 + 255);
    }

    #[test]
    fn a_trace_tag_that_is_too_long_is_refused() {
        let mut out = OutBuffer::new();
        assert_eq!(encode_trace(&mut out, &[b't'; TRACE_BYTES_MAX]), Ok(()));
        let refused = encode_trace(&mut out, &[b't'; TRACE_BYTES_MAX + 1]);
        assert_eq!(
            refused,
            Err(EncodeError::TraceLength {
                bytes: TRACE_BYTES_MAX + 1
            })
        );
    }

    #[test]
    fn request_bytes_is_the_number_of_written_bytes() {
        for payload_bytes in [
            0, 1, 511, 512, 513, 32_767, 32_768, 32_769, 65_536, 65_537, 200_000,
        ] {
            for address in [Address::Handle(9), Address::Name(b"@sdb")] {
                let mut out = OutBuffer::new();
                let payload = Bytes::from(vec![1; payload_bytes]);
                encode_request(&mut out, address, 3, &payload).expect("it is valid");
                assert_eq!(
                    request_bytes(&address, payload_bytes),
                    Ok(out.len()),
                    "{payload_bytes}"
                );
            }
        }
    }
}
