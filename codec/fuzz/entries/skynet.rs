//! The decoders of the skynet dialect.
//!
//! The first byte says into which pieces the rest, a byte stream, is cut. Whatever comes: no panic,
//! the same packages as without cuts, and what was decoded encodes to the bytes it came from, except
//! where the dialect has several ways to say the same.

use bytes::Bytes;
use skyring_codec::outbuffer::OutBuffer;
use skyring_codec::skynet::{
    Address, Framer, REQUEST_SMALL_BYTES_MAX, RESPONSE_SMALL_BYTES_MAX, RequestFrame, ResponseFrame,
    TRACE_BYTES_MAX, decode_request, decode_response, encode_error_response, encode_ok_response, encode_push,
    encode_request, encode_trace,
};

use super::events::{magnitude, note, note_words};

/// The stream is what a caller sends.
pub fn skynet_request(input: &[u8]) {
    for package in packages(input) {
        let frame = match decode_request(package.clone()) {
            Ok(frame) => frame,
            Err(error) => {
                note_words("error", &error);
                continue;
            }
        };
        note_words("request", &frame);
        note("package bytes", magnitude(package.len()));
        let mut out = OutBuffer::new();
        match frame {
            RequestFrame::Small {
                address,
                session,
                payload,
            } => {
                let address = address.as_address();
                let is_nobody = address == Address::Name(b"");
                if is_nobody || session > i32::MAX as u32 || payload.len() > REQUEST_SMALL_BYTES_MAX {
                    continue;
                }
                let encoded = match session {
                    0 => encode_push(&mut out, address, 1, &payload),
                    _ => encode_request(&mut out, address, session, &payload),
                };
                assert_eq!(encoded, Ok(()));
            }
            RequestFrame::Trace { tag } if tag.len() <= TRACE_BYTES_MAX => {
                assert_eq!(encode_trace(&mut out, &tag), Ok(()));
            }
            RequestFrame::Part { payload, .. } => {
                assert_eq!(payload, package.slice(5..));
                continue;
            }
            RequestFrame::Trace { .. } | RequestFrame::Head { .. } => continue,
        }
        assert_eq!(written(&out), with_length(&package));
    }
}

/// The stream is what a callee sends.
pub fn skynet_response(input: &[u8]) {
    for package in packages(input) {
        let frame = match decode_response(package.clone()) {
            Ok(frame) => frame,
            Err(error) => {
                note_words("error", &error);
                continue;
            }
        };
        note_words("response", &frame);
        note("package bytes", magnitude(package.len()));
        let mut out = OutBuffer::new();
        match frame {
            ResponseFrame::Ok { session, payload } if payload.len() <= RESPONSE_SMALL_BYTES_MAX => {
                assert_eq!(encode_ok_response(&mut out, session, &payload), Ok(()));
            }
            ResponseFrame::Error { session, text } if text.len() <= RESPONSE_SMALL_BYTES_MAX => {
                encode_error_response(&mut out, session, &text);
            }
            ResponseFrame::Part { payload, .. } | ResponseFrame::LastPart { payload, .. } => {
                assert_eq!(payload, package.slice(5..));
                continue;
            }
            ResponseFrame::Head { .. } | ResponseFrame::Ok { .. } | ResponseFrame::Error { .. } => continue,
        }
        assert_eq!(written(&out), with_length(&package));
    }
}

/// The packages of the stream, found in one piece and in pieces.
fn packages(input: &[u8]) -> Vec<Bytes> {
    let Some((cut, stream)) = input.split_first() else {
        return Vec::new();
    };
    let mut whole = Framer::new();
    whole.push(Bytes::copy_from_slice(stream));
    let expected: Vec<_> = std::iter::from_fn(|| whole.next_package()).collect();
    let mut framer = Framer::new();
    let mut found = Vec::new();
    for chunk in stream.chunks(usize::from(*cut) + 1) {
        framer.push(Bytes::copy_from_slice(chunk));
        found.extend(std::iter::from_fn(|| framer.next_package()));
    }
    assert_eq!(found, expected);
    assert_eq!(framer.has_partial(), whole.has_partial());
    expected
}

fn with_length(package: &[u8]) -> Vec<u8> {
    [&(package.len() as u16).to_be_bytes(), package].concat()
}

fn written(out: &OutBuffer) -> Vec<u8> {
    let mut slices = [std::io::IoSlice::new(&[]); 64];
    let filled = out.slices(&mut slices);
    slices[..filled]
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect()
}
