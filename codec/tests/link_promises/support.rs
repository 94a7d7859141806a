//! Two ends of a channel without sockets, and the bytes between them.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ProtocolError,
    ReplyError, Request,
};
use skyring_codec::skynet::Address;

/// The address most tests call.
pub(crate) const TEN: Address<'static> = Address::Handle(10);

/// A caller with a connection.
pub(crate) fn connected_caller() -> CallerLink {
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.connected();
    caller
}

/// A callee with the usual limits.
pub(crate) fn callee() -> CalleeLink {
    CalleeLink::new(CalleeLimits::default())
}

/// The socket takes up to `count` of the caller's bytes.
pub(crate) fn take_from_caller(caller: &mut CallerLink, count: usize) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 4096];
    let filled = caller.transmit(&mut slices);
    let bytes = joined(&slices[..filled], count);
    caller.transmitted(bytes.len());
    bytes
}

/// The socket takes all of the callee's bytes.
pub(crate) fn take_from_callee(callee: &mut CalleeLink) -> Bytes {
    let mut all = Vec::new();
    while callee.has_output() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = callee.transmit(&mut slices);
        let bytes = joined(&slices[..filled], usize::MAX);
        callee.transmitted(bytes.len());
        all.extend(bytes);
    }
    all.into()
}

fn joined(slices: &[IoSlice<'_>], count: usize) -> Bytes {
    slices
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .take(count)
        .collect::<Vec<_>>()
        .into()
}

/// A call without a source.
pub(crate) fn call<'a>(
    address: Address<'a>,
    payload: &Bytes,
    deadline: Option<u64>,
    token: u64,
) -> CallerRequest<'a> {
    CallerRequest {
        address,
        source: 0,
        key: 0,
        payload: payload.clone(),
        deadline,
        token: Some(token),
        is_idempotent: false,
    }
}

/// A send without a source.
pub(crate) fn send<'a>(address: Address<'a>, payload: &Bytes) -> CallerRequest<'a> {
    CallerRequest {
        token: None,
        ..call(address, payload, None, 0)
    }
}

/// What comes next at an end that speaks the skynet dialect only.
pub(crate) fn next_request(callee: &mut CalleeLink) -> Result<Option<Request>, ProtocolError> {
    loop {
        match callee.poll_inbound()? {
            Some(Inbound::Request(request)) => return Ok(Some(request)),
            Some(Inbound::Hello(_)) => callee.refuse_hello(),
            Some(Inbound::Goodbye) => panic!("the skynet dialect has no such package"),
            None => return Ok(None),
        }
    }
}

/// All requests that `chunk` completes.
pub(crate) fn requests(callee: &mut CalleeLink, chunk: Bytes) -> Result<Vec<Request>, ProtocolError> {
    callee.receive(chunk);
    let mut requests = Vec::new();
    while let Some(request) = next_request(callee)? {
        requests.push(request);
    }
    Ok(requests)
}

/// All events at `now`.
pub(crate) fn events(caller: &mut CallerLink, now: u64) -> Result<Vec<CallerEvent>, ProtocolError> {
    let mut events = Vec::new();
    while let Some(event) = caller.poll_event(now)? {
        events.push(event);
    }
    Ok(events)
}

/// `count` bytes of which no two neighbours within 251 are the same, so that shifts show.
pub(crate) fn payload(count: usize) -> Bytes {
    (0..count)
        .map(|index| (index % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// A response package: session, type, the rest.
pub(crate) fn response(session: u32, type_byte: u8, rest: &[u8]) -> Bytes {
    let mut package = ((rest.len() + 5) as u16).to_be_bytes().to_vec();
    package.extend(session.to_le_bytes());
    package.push(type_byte);
    package.extend(rest);
    package.into()
}

/// A request package: type, the rest.
pub(crate) fn request(type_byte: u8, rest: &[&[u8]]) -> Bytes {
    let rest = rest.concat();
    let mut package = ((rest.len() + 1) as u16).to_be_bytes().to_vec();
    package.push(type_byte);
    package.extend(rest);
    package.into()
}

/// The head of a multi-part message to handle 10; `type_byte` 0x01 for a request, 0x41 for a push.
pub(crate) fn head(type_byte: u8, session: u32, total: u32) -> Bytes {
    request(
        type_byte,
        &[&10u32.to_le_bytes(), &session.to_le_bytes(), &total.to_le_bytes()],
    )
}

/// A part of a multi-part message; `type_byte` 0x03 for the last.
pub(crate) fn part(type_byte: u8, session: u32, bytes: &[u8]) -> Bytes {
    request(type_byte, &[&session.to_le_bytes(), bytes])
}

/// An error reply of the skynet dialect, which carries no code.
pub(crate) fn error_text(text: impl Into<Bytes>) -> ReplyError {
    let text = text.into();
    ReplyError { code: None, text }
}
