//! Properties that hold for any messages, and however the stream is cut.

use bytes::Bytes;
use proptest::prelude::*;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest, Dialect, Inbound,
    ProtocolError, ReplyError,
};
use skyring_codec::native::ErrorCode;
use skyring_codec::skynet::{Address, RequestAddress};

use crate::support::{
    DIALECTS, TEN, answer, arrive, call, callee, caller, connect, events, frame, hello, in_pieces,
    native_pair_of, payload, requests, take_from_callee, take_from_caller,
};

#[derive(Debug, Clone)]
struct Message {
    address: RequestAddress,
    source: u32,
    key: u64,
    is_call: bool,
    payload: Bytes,
    remaining_ms: Option<u32>,
    reply: Result<Bytes, (ErrorCode, Bytes)>,
}

fn any_payload() -> impl Strategy<Value = Bytes> {
    let length =
        prop_oneof![6 => 0usize..40, 2 => 500usize..530, 1 => 32_700usize..33_000, 1 => 0usize..150_000];
    (length, any::<u8>()).prop_map(|(length, first)| {
        (0..length)
            .map(|index| first.wrapping_add((index % 253) as u8))
            .collect::<Vec<_>>()
            .into()
    })
}

fn any_address() -> impl Strategy<Value = RequestAddress> {
    prop_oneof![
        any::<u32>().prop_map(RequestAddress::Handle),
        (0u8..9).prop_map(|name| RequestAddress::Name(vec![b'@', name].into())),
        proptest::collection::vec(any::<u8>(), 1..=255).prop_map(|name| RequestAddress::Name(name.into())),
    ]
}

prop_compose! {
    fn message()(
        address in any_address(),
        source: u32,
        key: u64,
        is_call: bool,
        payload in any_payload(),
        remaining_ms in proptest::option::of(1u32..),
        code in 0..ErrorCode::ALL.len(),
        is_ok: bool,
        answer in any_payload(),
    ) -> Message {
        let error = (ErrorCode::ALL[code], answer.slice(..answer.len().min(32_768)));
        let reply = if is_ok { Ok(answer) } else { Err(error) };
        Message { address, source, key, is_call, payload, remaining_ms, reply }
    }
}

/// The lengths of the pieces that a stream is cut into, the whole stream and single bytes among them.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![usize::MAX]),
        Just(vec![1]),
        proptest::collection::vec(1usize..30, 1..20),
        proptest::collection::vec(1usize..70_000, 1..20),
    ]
}

/// Checks that `stream` gives the same requests, error and answers at a new callee, whole, in pieces and byte
/// by byte, and returns the requests.
fn check_every_split(
    new_callee: impl Fn() -> CalleeLink,
    stream: &Bytes,
    cuts: &[usize],
) -> Result<Vec<Inbound>, TestCaseError> {
    let run = |cuts: &[usize]| {
        let mut callee = new_callee();
        let mut seen = Vec::new();
        let mut failure = None;
        in_pieces(stream.clone(), cuts, |chunk| {
            if failure.is_some() {
                return;
            }
            callee.receive(chunk);
            loop {
                match callee.poll_inbound() {
                    Ok(Some(Inbound::Hello(_))) => callee.refuse_hello(),
                    Ok(Some(inbound)) => seen.push(inbound),
                    Ok(None) => break,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
        });
        (seen, failure, take_from_callee(&mut callee))
    };
    let whole = run(&[usize::MAX]);
    prop_assert_eq!(&whole, &run(cuts));
    prop_assert_eq!(&whole, &run(&[1]));
    Ok(whole.0)
}

fn payload_bytes(inbound: &Inbound) -> usize {
    match inbound {
        Inbound::Request(request) => request.payload.len(),
        Inbound::Hello(_) | Inbound::Goodbye => 0,
    }
}

const NOW: u64 = 1_000_000;

/// The messages arrive complete and in order in the dialect, and so do their answers.
fn check_round_trip(
    dialect: Dialect,
    messages: &[Message],
    cuts_there: &[usize],
    cuts_back: &[usize],
    waits: bool,
) -> Result<(), TestCaseError> {
    let is_native = dialect == Dialect::Native;
    let (mut caller, mut callee) = (caller(), callee());
    if !waits {
        connect(dialect, &mut caller, &mut callee, NOW);
    }
    for (token, message) in messages.iter().enumerate() {
        let request = CallerRequest {
            address: message.address.as_address(),
            source: message.source,
            key: message.key,
            payload: message.payload.clone(),
            deadline: message.remaining_ms.map(|remaining| NOW + u64::from(remaining)),
            token: message.is_call.then_some(token as u64),
            is_idempotent: false,
        };
        caller.request(NOW, request).expect("accepted");
    }
    if waits {
        connect(dialect, &mut caller, &mut callee, NOW);
    }
    let mut arrived = Vec::new();
    in_pieces(take_from_caller(&mut caller, usize::MAX), cuts_there, |chunk| {
        arrived.extend(requests(&mut callee, chunk))
    });
    prop_assert_eq!(arrived.len(), messages.len());
    prop_assert!(!callee.has_partial_input());
    for (request, message) in arrived.into_iter().zip(messages) {
        prop_assert_eq!(&request.address, &message.address);
        prop_assert!(request.payload == message.payload);
        prop_assert_eq!(request.session != 0, message.is_call);
        // The acceptor has two threads, of which the first owns channel 1. The skynet dialect carries none of these.
        let shard = if message.key % 2 == 0 { 0 } else { 2 };
        let expected = match is_native {
            true => (message.source, shard, message.remaining_ms),
            false => (0, 0, None),
        };
        prop_assert_eq!((request.source, request.shard, request.remaining_ms), expected);
        match &message.reply {
            Ok(reply) => callee.respond(request.session, Ok(reply.clone())),
            Err((code, text)) => callee.respond_error(request.session, *code, text),
        }
    }
    let mut came_back = Vec::new();
    in_pieces(take_from_callee(&mut callee), cuts_back, |chunk| {
        caller.receive(chunk);
        came_back.extend(events(&mut caller, NOW).expect("well-formed"));
    });
    let calls = messages.iter().enumerate().filter(|(_, message)| message.is_call);
    let expected: Vec<_> = calls
        .map(|(token, message)| CallerEvent::Reply {
            token: token as u64,
            result: message.reply.clone().map_err(|(code, text)| ReplyError {
                code: is_native.then_some(code),
                text,
            }),
        })
        .collect();
    prop_assert!(came_back == expected);
    prop_assert!(caller.is_idle());
    prop_assert_eq!(caller.next_deadline(), None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_survive_the_way_there_and_back(
        messages in proptest::collection::vec(message(), 1..12),
        cuts_there in cuts(),
        cuts_back in cuts(),
        waits: bool,
    ) {
        for dialect in DIALECTS {
            check_round_trip(dialect, &messages, &cuts_there, &cuts_back, waits)?;
        }
    }

    #[test]
    fn every_call_ends_once_in_either_dialect_and_whatever_breaks(
        steps in proptest::collection::vec((0u8..9, any::<u16>()), 1..200),
    ) {
        let limits = CallerLimits { out_buffer_bytes_max: 20_000, ..CallerLimits::default() };
        let mut caller = CallerLink::new(limits);
        let mut peer = callee();
        let mut unanswered: Vec<u32> = Vec::new();
        let mut seen: Vec<u64> = Vec::new();
        let (mut accepted, mut now) = (0u64, 0u64);
        let mut ended: Vec<CallerEvent> = Vec::new();
        let mut deadlines = Vec::new();
        for (step, number) in steps {
            match step {
                0..=2 => {
                    let deadline = (number % 3 != 0).then_some(now + u64::from(number % 500));
                    let mut bytes = accepted.to_le_bytes().to_vec();
                    bytes.resize(8 + usize::from(number % 700), 7);
                    let name = [b'@', number as u8];
                    let address = if number % 2 == 0 { TEN } else { Address::Name(&name) };
                    if caller.request(now, call(address, &bytes.into(), deadline, accepted)).is_ok() {
                        deadlines.push(deadline);
                        accepted += 1;
                    }
                }
                3 => {
                    let taken = take_from_caller(&mut caller, usize::from(number % 2_000));
                    for inbound in arrive(&mut peer, taken).expect("well-formed") {
                        match inbound {
                            Inbound::Request(request) => {
                                let token = request.payload.first_chunk().map(|token| u64::from_le_bytes(*token));
                                seen.extend(token);
                                unanswered.push(request.session);
                            }
                            Inbound::Hello(_) if number % 4 == 0 => peer.refuse_hello(),
                            Inbound::Hello(_) => peer.accept_hello(&answer()).expect("valid"),
                            Inbound::Goodbye => {}
                        }
                    }
                    caller.receive(take_from_callee(&mut peer));
                }
                4 if !unanswered.is_empty() => {
                    let session = unanswered.swap_remove(usize::from(number) % unanswered.len());
                    peer.respond(session, Ok(payload(usize::from(number))));
                    caller.receive(take_from_callee(&mut peer));
                }
                5 => now += u64::from(number % 300),
                6 | 7 => {
                    if step == 6 { caller.dial(now, &hello()).expect("valid") } else { caller.connected() }
                    peer = callee();
                    unanswered.clear();
                }
                _ if number % 5 == 0 => caller.goodbye(),
                _ => { caller.disconnected(); peer = callee(); unanswered.clear(); }
            }
            match events(&mut caller, now) {
                Ok(polled) => ended.extend(polled.into_iter().filter(|event| event.token().is_some())),
                Err(error) => {
                    prop_assert!(matches!(error, ProtocolError::HandshakeTime { .. }), "{}", error);
                    caller.disconnected();
                    peer = callee();
                    unanswered.clear();
                }
            }
            ended.extend(events(&mut caller, now).expect("no input").into_iter().filter(|event| event.token().is_some()));
            prop_assert!(caller.out_buffer_bytes() <= 20_000);
            prop_assert_eq!(caller.outstanding(), accepted as usize - ended.len());
            for event in &ended {
                if let CallerEvent::Expired { token, .. } = event {
                    prop_assert!(deadlines[*token as usize].is_some_and(|deadline| deadline <= now), "expired early");
                }
            }
            let overdue = deadlines.iter().flatten().filter(|deadline| **deadline <= now).count();
            prop_assert!(ended.len() >= overdue, "a call outlived its deadline");
        }
        prop_assert!(seen.is_sorted_by(|one, next| one < next), "twice or out of order");
        caller.close();
        ended.extend(events(&mut caller, now).expect("no input"));
        for event in &ended {
            if let CallerEvent::Lost { token, may_have_run: false } = event {
                prop_assert!(!seen.contains(token), "it has run");
            }
        }
        let mut tokens: Vec<_> = ended.iter().filter_map(CallerEvent::token).collect();
        tokens.sort_unstable();
        prop_assert_eq!(tokens, (0..accepted).collect::<Vec<_>>());
        prop_assert!(caller.is_idle());
        prop_assert_eq!(caller.next_deadline(), None);
    }

    #[test]
    fn any_bytes_are_answered_with_requests_or_an_error_within_the_limits(
        stream in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => 0u8..5, 1 => any::<u8>()], 0..3_000),
        cuts in cuts(),
    ) {
        let limits = CalleeLimits { message_bytes_max: 500, ..CalleeLimits::default() };
        let seen = check_every_split(|| CalleeLink::new(limits), &stream.into(), &cuts)?;
        prop_assert!(seen.iter().all(|inbound| payload_bytes(inbound) <= 500));
    }

    #[test]
    fn any_frames_are_answered_with_requests_or_an_error_within_the_limits(
        frames in proptest::collection::vec(
            (0u8..10, 0u8..3, 0u32..4, 0u32..5, proptest::collection::vec(any::<u8>(), 0..700)), 0..30),
        noise in proptest::collection::vec(any::<u8>(), 0..30),
        cuts in cuts(),
    ) {
        let limits = CalleeLimits { message_bytes_max: 500, ..CalleeLimits::default() };
        let mut stream: Vec<u8> = frames.iter().flat_map(|(kind, flags, session, target, payload)| {
            frame(*kind, *flags, [*session, *target, 1, 2], payload)
        }).collect();
        stream.extend(noise);
        let new_callee = || native_pair_of(CallerLimits::default(), limits).1;
        let seen = check_every_split(new_callee, &stream.into(), &cuts)?;
        prop_assert!(seen.iter().all(|inbound| payload_bytes(inbound) <= 500));
    }
}
