//! Two ends of a channel without sockets, and the bytes between them.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Inbound, ProtocolError,
    Request,
};
use skyring_codec::native::{Hello, Resumption, VERSION};
use skyring_codec::skynet::Address;

/// The address most tests call.
pub(crate) const TEN: Address<'static> = Address::Handle(10);

/// What the dialler says of itself.
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
    }
}

/// What the acceptor says of itself.
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

/// A caller that wants no session: what it has sent is lost with the connection.
pub(crate) fn caller() -> CallerLink {
    CallerLink::new(without_session())
}

/// The limits of a caller that wants no session.
pub(crate) fn without_session() -> CallerLimits {
    CallerLimits {
        is_resumed: false,
        ..CallerLimits::default()
    }
}

pub(crate) fn callee() -> CalleeLink {
    CalleeLink::new(CalleeLimits::default())
}

/// Has the two agree on the native dialect; what the caller had waiting is ready to be transmitted.
pub(crate) fn greet(caller: &mut CallerLink, callee: &mut CalleeLink, now: u64) {
    caller.dial(now, &hello()).expect("a valid hello");
    let inbound = arrive(callee, take_from_caller(caller, usize::MAX));
    assert!(
        matches!(inbound.as_deref(), Ok([Inbound::Hello(_)])),
        "{inbound:?}"
    );
    callee.accept_hello(&answer()).expect("a valid hello");
    caller.receive(take_from_callee(callee));
    let event = caller.poll_event(now);
    assert!(matches!(event, Ok(Some(CallerEvent::Ready { .. }))), "{event:?}");
}

/// Both ends, speaking the native dialect without a session.
pub(crate) fn native_pair() -> (CallerLink, CalleeLink) {
    native_pair_of(without_session(), CalleeLimits::default())
}

/// The same, with limits.
pub(crate) fn native_pair_of(caller: CallerLimits, callee: CalleeLimits) -> (CallerLink, CalleeLink) {
    let (mut caller, mut callee) = (CallerLink::new(caller), CalleeLink::new(callee));
    greet(&mut caller, &mut callee, 0);
    (caller, callee)
}

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
    slices
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .take(count)
        .collect()
}

/// All that `chunk` completes.
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

/// A frame written by hand: length, kind, flags, session, target, source, remaining time, payload.
pub(crate) fn frame(kind: u8, flags: u8, numbers: [u32; 4], payload: &[u8]) -> Bytes {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend([kind, flags, 0, 0]);
    for number in numbers {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(payload);
    bytes.into()
}

/// Gives `stream` to `take` in pieces of the lengths `cuts`, over and over.
pub(crate) fn in_pieces(mut stream: Bytes, cuts: &[usize], mut take: impl FnMut(Bytes)) {
    for cut in cuts.iter().cycle() {
        if stream.is_empty() {
            return;
        }
        take(stream.split_to((*cut).min(stream.len())));
    }
}
