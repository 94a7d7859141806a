//! The callee's end of a link of the skynet dialect, and what a hostile peer sends it.

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CalleeLink, Inbound, ProtocolError, Request};
use skyring_codec::skynet::{Framer, ResponseFrame, decode_response};

use super::events::{magnitude, note, note_words};
use super::peer::taken;

const MESSAGE_BYTES_MAX: usize = 2_000;

/// The input is what a callee link receives, cut as its first byte says. The same requests and answers
/// come out as without cuts, none beyond the limits, and every answer is one that a caller can read.
pub fn link_callee(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = run(stream, stream.len().max(1));
    for request in &whole.0 {
        let kind = u64::from(request.session == 0) + 2 * u64::from(request.trace.is_some());
        note("request", kind);
        note("request bytes", magnitude(request.payload.len()));
    }
    assert_eq!(whole, run(stream, usize::from(*cut) + 1));
}

/// Requests, whether the stream was well-formed, and the bytes answered.
fn run(stream: &[u8], chunk_bytes: usize) -> (Vec<Request>, bool, Bytes) {
    let limits = CalleeLimits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        reassembly_bytes_max: 3_000,
        partial_messages_max: 8,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    let mut requests = Vec::new();
    let mut is_well_formed = true;
    'stream: for chunk in stream.chunks(chunk_bytes) {
        callee.receive(Bytes::copy_from_slice(chunk));
        loop {
            match next_request(&mut callee) {
                Ok(Some(request)) => {
                    assert!(request.payload.len() <= MESSAGE_BYTES_MAX);
                    callee.respond(request.session, Ok(request.payload.clone()));
                    requests.push(request);
                }
                Ok(None) => break,
                Err(error) => {
                    note_words("error", &error);
                    is_well_formed = false;
                    break 'stream;
                }
            }
        }
    }
    assert!(callee.requests_seen() >= requests.len() as u64);
    note("partial", callee.has_partial_input().into());
    note("refused", magnitude(callee.requests_refused() as usize));
    let answers = taken!(callee);
    let mut framer = Framer::new();
    framer.push(answers.clone());
    while let Some(package) = framer.next_package() {
        let answer = decode_response(package).expect("an answer nobody can read");
        note(
            "answer is an error",
            matches!(answer, ResponseFrame::Error { .. }).into(),
        );
    }
    assert!(!framer.has_partial());
    (requests, is_well_formed, answers)
}

/// What comes next at an end that speaks the skynet dialect only.
pub(super) fn next_request(callee: &mut CalleeLink) -> Result<Option<Request>, ProtocolError> {
    loop {
        match callee.poll_inbound()? {
            Some(Inbound::Request(request)) => return Ok(Some(request)),
            Some(Inbound::Hello(_)) => {
                note("hello refused", 0);
                callee.refuse_hello();
            }
            Some(Inbound::Goodbye) => panic!("the skynet dialect has no such package"),
            None => return Ok(None),
        }
    }
}
