//! Two ends of a channel without sockets, and the bytes between them.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound,
    ProtocolError, ReplyError, Request,
};
use skyring_codec::native::{Hello, Resumption, VERSION};
use skyring_codec::outbuffer::OutBuffer;
use skyring_codec::skynet::{Address, encode_ok_response, encode_request};

/// The address that most tests call.
pub(crate) const TEN: Address<'static> = Address::Handle(10);

/// Both dialects, for promises that hold in either.
pub(crate) const DIALECTS: [Dialect; 2] = [Dialect::Skynet, Dialect::Native];

// ---- the two ends ----

/// The dialler's hello.
pub(crate) fn hello() -> Hello {
    Hello {
        version: VERSION,
        node: "game".to_owned(),
        channel: 1,
        channels: 4,
        threads: 4,
        epoch: 7,
        nonce: *b"0123456789abcdef",
        resume: Resumption::Off,
        attempt: 0,
        traces: false,
    }
}

/// The acceptor's hello.
pub(crate) fn answer() -> Hello {
    Hello {
        node: "db".to_owned(),
        channels: 2,
        threads: 2,
        epoch: u64::MAX,
        nonce: *b"fedcba9876543210",
        ..hello()
    }
}

/// The limits of a caller without a session.
pub(crate) fn without_session() -> CallerLimits {
    CallerLimits {
        is_resumed: false,
        ..CallerLimits::default()
    }
}

/// A caller without a session: messages that were begun are lost with the connection.
pub(crate) fn caller() -> CallerLink {
    CallerLink::new(without_session())
}

/// A caller with a connection in the skynet dialect.
pub(crate) fn connected_caller() -> CallerLink {
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.connected();
    caller
}

/// A callee with the default limits.
pub(crate) fn callee() -> CalleeLink {
    CalleeLink::new(CalleeLimits::default())
}

/// Dials: a new callee receives the hello of the caller.
pub(crate) fn dial(caller: &mut CallerLink, now: u64) -> CalleeLink {
    let mut callee = callee();
    dial_to(caller, &mut callee, now);
    callee
}

fn dial_to(caller: &mut CallerLink, callee: &mut CalleeLink, now: u64) {
    caller.dial(now, &hello()).expect("a valid hello");
    let inbound = arrive(callee, take_from_caller(caller, usize::MAX));
    assert!(
        matches!(inbound.as_deref(), Ok([Inbound::Hello(_)])),
        "{inbound:?}"
    );
}

/// Agrees on the native dialect; the queued messages of the caller are ready to be transmitted.
pub(crate) fn greet(caller: &mut CallerLink, callee: &mut CalleeLink, now: u64) {
    dial_to(caller, callee, now);
    callee.accept_hello(&answer()).expect("a valid hello");
    caller.receive(take_from_callee(callee));
    let event = caller.poll_event(now);
    assert!(matches!(event, Ok(Some(CallerEvent::Ready { .. }))), "{event:?}");
}

/// Connects the two in a dialect.
pub(crate) fn connect(dialect: Dialect, caller: &mut CallerLink, callee: &mut CalleeLink, now: u64) {
    match dialect {
        Dialect::Skynet => caller.connected(),
        Dialect::Native => greet(caller, callee, now),
    }
}

/// Both ends of a connection in a dialect.
pub(crate) fn pair_of(
    dialect: Dialect,
    caller: CallerLimits,
    callee: CalleeLimits,
) -> (CallerLink, CalleeLink) {
    let (mut caller, mut callee) = (CallerLink::new(caller), CalleeLink::new(callee));
    connect(dialect, &mut caller, &mut callee, 0);
    (caller, callee)
}

/// Both ends of a connection in a dialect, with the default limits and without a session.
pub(crate) fn pair(dialect: Dialect) -> (CallerLink, CalleeLink) {
    pair_of(dialect, without_session(), CalleeLimits::default())
}

/// Both ends of a connection in the native dialect, without a session.
pub(crate) fn native_pair() -> (CallerLink, CalleeLink) {
    pair(Dialect::Native)
}

/// The same, with limits.
pub(crate) fn native_pair_of(caller: CallerLimits, callee: CalleeLimits) -> (CallerLink, CalleeLink) {
    pair_of(Dialect::Native, caller, callee)
}

// ---- requests and events ----

/// A call from handle 9.
pub(crate) fn call<'a>(
    address: Address<'a>,
    payload: &Bytes,
    deadline: Option<u64>,
    token: u64,
) -> CallerRequest<'a> {
    CallerRequest {
        address,
        source: 9,
        key: 8,
        payload: payload.clone(),
        deadline,
        token: Some(token),
        is_idempotent: false,
    }
}

/// A send from handle 9.
pub(crate) fn send<'a>(address: Address<'a>, payload: &Bytes) -> CallerRequest<'a> {
    CallerRequest {
        token: None,
        ..call(address, payload, None, 0)
    }
}

/// Makes a call with a payload of `bytes`, which the link accepts.
pub(crate) fn ask(
    caller: &mut CallerLink,
    address: Address<'_>,
    bytes: usize,
    deadline: Option<u64>,
    token: u64,
) {
    let request = call(address, &payload(bytes), deadline, token);
    caller.request(0, request).expect("accepted");
}

/// Makes a send with a payload of `bytes`, which the link accepts.
pub(crate) fn post(caller: &mut CallerLink, address: Address<'_>, bytes: usize) {
    caller
        .request(0, send(address, &payload(bytes)))
        .expect("accepted");
}

/// `count` bytes of which no two within 251 are the same, so that a shift is found.
pub(crate) fn payload(count: usize) -> Bytes {
    (0..count)
        .map(|index| (index % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// The lengths of the payloads of requests, whose bytes it checks.
pub(crate) fn lengths(requests: &[Request]) -> Vec<usize> {
    let checked = requests.iter().map(|request| {
        assert!(request.payload == payload(request.payload.len()));
        request.payload.len()
    });
    checked.collect()
}

/// The event of a call that is answered with a payload of `bytes`.
pub(crate) fn reply(token: u64, bytes: usize) -> CallerEvent {
    CallerEvent::Reply {
        token,
        result: Ok(payload(bytes)),
    }
}

/// The event of a call that expires.
pub(crate) fn expired(token: u64, may_have_run: bool) -> CallerEvent {
    CallerEvent::Expired { token, may_have_run }
}

/// The event of a call that is lost.
pub(crate) fn lost(token: u64, may_have_run: bool) -> CallerEvent {
    CallerEvent::Lost { token, may_have_run }
}

/// An error reply of the skynet dialect, which carries no code.
pub(crate) fn error_text(text: impl Into<Bytes>) -> ReplyError {
    let text = text.into();
    ReplyError { code: None, text }
}

// ---- bytes between the two ends ----

/// The socket takes up to `count` of the caller's bytes.
pub(crate) fn take_from_caller(caller: &mut CallerLink, count: usize) -> Bytes {
    let mut taken = Vec::new();
    while taken.len() < count && caller.has_output() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = caller.transmit(&mut slices);
        let bytes = joined(&slices[..filled], count - taken.len());
        caller.transmitted(bytes.len());
        taken.extend(bytes);
    }
    taken.into()
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

fn joined(slices: &[IoSlice<'_>], count: usize) -> Vec<u8> {
    let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
    bytes.take(count).collect()
}

/// Everything that `chunk` completes.
pub(crate) fn arrive(callee: &mut CalleeLink, chunk: Bytes) -> Result<Vec<Inbound>, ProtocolError> {
    callee.receive(chunk);
    let mut all = Vec::new();
    while let Some(inbound) = callee.poll_inbound()? {
        all.push(inbound);
    }
    Ok(all)
}

/// All requests that `chunk` completes, where nothing else is expected.
pub(crate) fn requests(callee: &mut CalleeLink, chunk: Bytes) -> Vec<Request> {
    let all = arrive(callee, chunk).expect("well-formed");
    let requests = all.into_iter().map(|inbound| match inbound {
        Inbound::Request(request) => request,
        other => panic!("{other:?} is no request"),
    });
    requests.collect()
}

/// All output of the caller arrives at the callee: its requests.
pub(crate) fn deliver(caller: &mut CallerLink, callee: &mut CalleeLink) -> Vec<Request> {
    requests(callee, take_from_caller(caller, usize::MAX))
}

/// All events at `now`.
pub(crate) fn events(caller: &mut CallerLink, now: u64) -> Result<Vec<CallerEvent>, ProtocolError> {
    let mut events = Vec::new();
    while let Some(event) = caller.poll_event(now)? {
        events.push(event);
    }
    Ok(events)
}

/// All output of the callee arrives at the caller: its events at `now`.
pub(crate) fn deliver_back(callee: &mut CalleeLink, caller: &mut CallerLink, now: u64) -> Vec<CallerEvent> {
    caller.receive(take_from_callee(callee));
    events(caller, now).expect("well-formed")
}

/// Gives `stream` to `take` in pieces of the lengths `cuts`, repeatedly.
pub(crate) fn in_pieces(mut stream: Bytes, cuts: &[usize], mut take: impl FnMut(Bytes)) {
    for cut in cuts.iter().cycle() {
        if stream.is_empty() {
            return;
        }
        take(stream.split_to((*cut).min(stream.len())));
    }
}

// ---- bytes of a peer that is not a link ----

/// The bytes that an encoder writes.
pub(crate) fn written(write: impl FnOnce(&mut OutBuffer)) -> Bytes {
    let mut out = OutBuffer::new();
    write(&mut out);
    let mut slices = [IoSlice::new(&[]); 8];
    let filled = out.slices(&mut slices);
    joined(&slices[..filled], usize::MAX).into()
}

/// A request to handle 0 under session 1, as a hello is one.
pub(crate) fn hello_request(payload: &Bytes) -> Bytes {
    written(|out| encode_request(out, Address::Handle(0), 1, payload).expect("short"))
}

/// A package with a result.
pub(crate) fn ok_answer(session: u32, payload: &Bytes) -> Bytes {
    written(|out| encode_ok_response(out, session, payload).expect("short"))
}

/// A response package of the skynet dialect: session, type, the rest.
pub(crate) fn response(session: u32, type_byte: u8, rest: &[u8]) -> Bytes {
    let mut package = ((rest.len() + 5) as u16).to_be_bytes().to_vec();
    package.extend(session.to_le_bytes());
    package.push(type_byte);
    package.extend(rest);
    package.into()
}

/// A request package of the skynet dialect: type, the rest.
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

/// A frame of the native dialect: kind, flags, then session, target, source and remaining time, payload.
pub(crate) fn frame(kind: u8, flags: u8, numbers: [u32; 4], payload: &[u8]) -> Bytes {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind, flags, 0, 0]);
    for number in numbers {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(payload);
    bytes.into()
}
