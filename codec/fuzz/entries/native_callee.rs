//! The callee's end of a native connection, and what a hostile peer sends it.

use bytes::Bytes;
use skyring_codec::link::{
    ACK_DELAY_MS_MAX, CalleeLimits, CalleeLink, CallerLimits, CallerLink, Inbound, Request,
};
use skyring_codec::native::{FrameReader, Step};
use skyring_codec::skynet::RequestAddress;

use super::events::{magnitude, note, note_words};
use super::peer::{greeted, hello, taken};

const MESSAGE_BYTES_MAX: usize = 2_000;

/// The names of this node change after so many requests.
const REQUESTS_PER_STATE: usize = 4;

/// The input is what the callee's end receives once it speaks the native dialect, cut as its first byte
/// says. The same comes out as without cuts, whether requests are taken the quick way or the one that finds
/// everything; it is within the limits, and every answer is one that can be read.
pub fn native_callee(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let chunk_bytes = usize::from(*cut) + 1;
    let whole = run(stream, stream.len().max(1), false);
    note_outcome(&whole);
    assert_eq!(whole, run(stream, chunk_bytes, false), "in chunks");
    assert_eq!(whole, run(stream, stream.len().max(1), true), "the quick way");
    assert_eq!(whole, run(stream, chunk_bytes, true), "the quick way in chunks");
}

/// A request, wherever it was taken.
#[derive(Debug, PartialEq)]
enum Taken {
    Request {
        /// None for a name that nobody has.
        target: Option<u32>,
        session: u32,
        source: u32,
        shard: u16,
        remaining_ms: u32,
        payload: Bytes,
    },
    /// The query for a name's handle.
    Query(u32, Bytes),
    Goodbye,
}

/// All that a stream led to.
#[derive(Debug, PartialEq)]
struct Outcome {
    taken: Vec<Taken>,
    error: Option<String>,
    answers: Bytes,
    seen: (u64, u64, u64),
}

fn run(stream: &[u8], chunk_bytes: usize, is_quick: bool) -> Outcome {
    let limits = CalleeLimits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        ..CalleeLimits::default()
    };
    let mut dialler = CallerLink::new(CallerLimits::default());
    dialler.dial(0, &hello()).expect("a valid hello");
    let mut callee = greeted(limits, taken!(dialler));
    let _ = taken!(callee);

    let mut taken = Vec::new();
    let mut error = None;
    for chunk in stream.chunks(chunk_bytes) {
        callee.receive(Bytes::copy_from_slice(chunk));
        if let Err(found) = take_all(&mut callee, is_quick, &mut taken) {
            error = Some(found);
            break;
        }
    }
    // Names, at most four times a message, and what is retained of answers.
    assert!(callee.held_bytes() < 4 * MESSAGE_BYTES_MAX + (1 << 20) + 16 * stream.len() + 8_192);
    let seen = (
        callee.packages_seen(),
        callee.requests_seen(),
        callee.requests_refused(),
    );
    let answers = taken!(callee);
    // What has come is acknowledged in the end.
    callee.tick(0);
    callee.tick(ACK_DELAY_MS_MAX);
    assert_eq!(callee.next_deadline(), None);
    let answers = Bytes::from([answers, taken!(callee)].concat());
    assert_readable(&answers);
    Outcome {
        taken,
        error,
        answers,
        seen,
    }
}

fn take_all(callee: &mut CalleeLink, is_quick: bool, taken: &mut Vec<Taken>) -> Result<(), String> {
    loop {
        let state = (taken.len() / REQUESTS_PER_STATE) as u64;
        if is_quick && let Some(request) = callee.next_resolved(state, |name| resolve(name, state)) {
            assert_ne!(request.target, 0, "a query came the quick way");
            assert!(request.payload.len() <= MESSAGE_BYTES_MAX);
            callee.respond(request.session, Ok(request.payload.clone()));
            taken.push(Taken::Request {
                target: Some(request.target),
                session: request.session,
                source: request.source,
                shard: request.shard,
                remaining_ms: request.remaining_ms,
                payload: request.payload,
            });
            continue;
        }
        match callee.poll_inbound() {
            Ok(Some(Inbound::Request(request))) => {
                assert!(request.payload.len() <= MESSAGE_BYTES_MAX);
                callee.respond(request.session, Ok(request.payload.clone()));
                taken.push(of_request(request, state));
            }
            Ok(Some(Inbound::Goodbye)) => taken.push(Taken::Goodbye),
            Ok(Some(Inbound::Hello(_))) => panic!("a second hello"),
            Ok(None) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn of_request(request: Request, state: u64) -> Taken {
    let target = match &request.address {
        RequestAddress::Handle(0) => return Taken::Query(request.session, request.payload),
        RequestAddress::Handle(handle) => Some(*handle),
        RequestAddress::Name(name) => resolve(name, state),
    };
    assert_ne!(request.remaining_ms, Some(0), "no time is left to a request");
    Taken::Request {
        target,
        session: request.session,
        source: request.source,
        shard: request.shard,
        remaining_ms: request.remaining_ms.unwrap_or(0),
        payload: request.payload,
    }
}

/// Every second name is that of a service, another one with every change of the names.
fn resolve(name: &[u8], state: u64) -> Option<u32> {
    let first = u32::from(*name.first()?);
    (first + state as u32)
        .is_multiple_of(2)
        .then_some(1 + first + state as u32)
}

/// Whether a dialler can read every frame.
fn assert_readable(answers: &Bytes) {
    let mut reader = FrameReader::new();
    reader.push(answers.clone());
    while let Some((header, payload)) = reader.take_whole(MESSAGE_BYTES_MAX) {
        note_words("answer", &header.kind);
        note("answer bytes", magnitude(payload.len()));
    }
    assert_eq!(
        reader.step(MESSAGE_BYTES_MAX),
        Step::Wait,
        "an answer nobody can read"
    );
    assert!(!reader.has_partial());
}

fn note_outcome(outcome: &Outcome) {
    for taken in &outcome.taken {
        match taken {
            Taken::Request {
                target,
                session,
                shard,
                remaining_ms,
                payload,
                ..
            } => {
                let kind = u64::from(target.is_some()) + 2 * u64::from(*session == 0);
                let more = 4 * u64::from(*shard != 0) + 8 * u64::from(*remaining_ms != 0);
                note("request", kind + more);
                note("request bytes", magnitude(payload.len()));
            }
            Taken::Query(..) => note("query", 0),
            Taken::Goodbye => note("goodbye", 0),
        }
    }
    let (_, _, refused) = outcome.seen;
    note("refused", magnitude(refused as usize));
    if let Some(error) = &outcome.error {
        note_words("error", error);
    }
}
