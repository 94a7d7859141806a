//! Properties over any messages and any way in which the stream is cut.

use bytes::Bytes;
use proptest::prelude::*;
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink};
use skyring_codec::skynet::{Address, RequestAddress};

use crate::support::{
    TEN, call, callee, connected_caller, error_text, events, next_request, payload, requests, send,
    take_from_callee, take_from_caller,
};

#[derive(Debug, Clone)]
struct Message {
    address: RequestAddress,
    is_call: bool,
    payload: Bytes,
    reply: Result<Bytes, Bytes>,
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
        proptest::collection::vec(any::<u8>(), 1..=255).prop_map(|name| RequestAddress::Name(name.into())),
    ]
}

prop_compose! {
    fn message()(
        address in any_address(),
        is_call: bool,
        payload in any_payload(),
        is_ok: bool,
        answer in any_payload(),
    ) -> Message {
        let reply = if is_ok { Ok(answer) } else { Err(answer.slice(..answer.len().min(32_768))) };
        Message { address, is_call, payload, reply }
    }
}

/// Gives `stream` to `take` in pieces of the lengths `cuts`, over and over.
fn in_pieces(mut stream: Bytes, cuts: &[usize], mut take: impl FnMut(Bytes)) {
    for cut in cuts.iter().cycle() {
        if stream.is_empty() {
            return;
        }
        take(stream.split_to((*cut).min(stream.len())));
    }
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![usize::MAX]),
        proptest::collection::vec(1usize..20, 1..20),
        proptest::collection::vec(1usize..70_000, 1..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_survive_the_way_there_and_back(
        messages in proptest::collection::vec(message(), 1..12),
        cuts_there in cuts(),
        cuts_back in cuts(),
    ) {
        let (mut caller, mut callee) = (connected_caller(), callee());
        for (token, message) in messages.iter().enumerate() {
            let address = message.address.as_address();
            if message.is_call {
                caller.request(0, call(address, &message.payload, Some(1_000), token as u64)).expect("accepted");
            } else {
                caller.request(0, send(address, &message.payload)).expect("accepted");
            }
        }
        let mut arrived = Vec::new();
        let mut there = Vec::new();
        while caller.has_output() {
            there.extend(take_from_caller(&mut caller, 1_000_000));
        }
        in_pieces(there.into(), &cuts_there, |chunk| {
            arrived.extend(requests(&mut callee, chunk).expect("well-formed"));
        });
        prop_assert_eq!(arrived.len(), messages.len());
        prop_assert!(!callee.has_partial_input());
        for (request, message) in arrived.into_iter().zip(&messages) {
            prop_assert_eq!(&request.address, &message.address);
            prop_assert!(request.payload == message.payload);
            prop_assert_eq!(request.session != 0, message.is_call);
            match &message.reply {
                Ok(reply) => callee.respond(request.session, Ok(reply.clone())),
                Err(text) => callee.respond(request.session, Err(text)),
            }
        }
        let mut came_back = Vec::new();
        in_pieces(take_from_callee(&mut callee), &cuts_back, |chunk| {
            caller.receive(chunk);
            came_back.extend(events(&mut caller, 0).expect("well-formed"));
        });
        let expected: Vec<_> = messages.iter().enumerate().filter(|(_, message)| message.is_call)
            .map(|(token, message)| CallerEvent::Reply {
                token: token as u64,
                result: message.reply.clone().map_err(error_text),
            })
            .collect();
        prop_assert!(came_back == expected);
        prop_assert!(caller.is_idle());
        prop_assert_eq!(caller.next_deadline(), None);
    }

    #[test]
    fn every_call_ends_once_whatever_the_order_of_replies_expiries_and_breaks(
        steps in proptest::collection::vec((0u8..8, any::<u16>()), 1..200),
    ) {
        let mut caller = CallerLink::new(CallerLimits::default());
        let mut peer = callee();
        let mut unanswered: Vec<u32> = Vec::new();
        let (mut accepted, mut now) = (0u64, 0u64);
        let mut ended = Vec::new();
        let mut deadlines = Vec::new();
        for (step, number) in steps {
            match step {
                0..=2 => {
                    let deadline = (number % 3 != 0).then_some(now + u64::from(number % 500));
                    deadlines.push(deadline);
                    caller.request(0, call(TEN, &payload(usize::from(number % 700)), deadline, accepted)).expect("accepted");
                    accepted += 1;
                }
                3 => {
                    let taken = take_from_caller(&mut caller, usize::from(number % 2_000));
                    unanswered.extend(requests(&mut peer, taken).expect("well-formed").iter().map(|r| r.session));
                }
                4 if !unanswered.is_empty() => {
                    let session = unanswered.swap_remove(usize::from(number) % unanswered.len());
                    peer.respond(session, Ok(payload(usize::from(number))));
                    caller.receive(take_from_callee(&mut peer));
                }
                5 => now += u64::from(number % 300),
                6 => { caller.connected(); peer = callee(); unanswered.clear(); }
                _ => { caller.disconnected(); peer = callee(); unanswered.clear(); }
            }
            ended.extend(events(&mut caller, now).expect("well-formed"));
            // No call outlives its deadline.
            let alive = accepted as usize - ended.len();
            prop_assert_eq!(caller.outstanding(), alive);
            for event in &ended {
                if let CallerEvent::Expired { token, .. } = event {
                    prop_assert!(deadlines[*token as usize].is_some_and(|deadline| deadline <= now));
                }
            }
            let overdue = deadlines.iter().flatten().filter(|deadline| **deadline <= now).count();
            prop_assert!(ended.len() >= overdue);
        }
        caller.close();
        ended.extend(events(&mut caller, now).expect("well-formed"));
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
        let stream = Bytes::from(stream);
        let run = |cuts: &[usize]| {
            let mut callee = CalleeLink::new(limits);
            let mut seen = Vec::new();
            let mut failure = None;
            in_pieces(stream.clone(), cuts, |chunk| {
                if failure.is_some() { return }
                callee.receive(chunk);
                loop {
                    match next_request(&mut callee) {
                        Ok(Some(request)) => seen.push(request),
                        Ok(None) => break,
                        Err(error) => { failure = Some(error); break }
                    }
                }
            });
            (seen, failure, take_from_callee(&mut callee))
        };
        let whole = run(&[usize::MAX]);
        prop_assert!(whole.0.iter().all(|request| request.payload.len() <= 500));
        prop_assert_eq!(&whole, &run(&cuts));
        prop_assert_eq!(&whole, &run(&[1]));
    }
}

#[test]
fn a_stream_that_comes_byte_by_byte_gives_the_same_messages() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    for length in [0, 5, 600, 40_000] {
        caller
            .request(
                0,
                call(Address::Name(b".db"), &payload(length), None, length as u64),
            )
            .expect("accepted");
    }
    let mut lengths = Vec::new();
    in_pieces(take_from_caller(&mut caller, usize::MAX), &[1], |byte| {
        for request in requests(&mut callee, byte).expect("well-formed") {
            assert!(request.payload == payload(request.payload.len()));
            lengths.push(request.payload.len());
            callee.respond(request.session, Ok(request.payload));
        }
    });
    assert_eq!(lengths, [0, 5, 600, 40_000]);
    let mut tokens = Vec::new();
    in_pieces(take_from_callee(&mut callee), &[1], |byte| {
        caller.receive(byte);
        for event in events(&mut caller, 0).expect("well-formed") {
            let CallerEvent::Reply {
                token,
                result: Ok(reply),
            } = event
            else {
                panic!("{event:?}")
            };
            assert!(reply == payload(token as usize));
            tokens.push(token);
        }
    });
    assert_eq!(tokens, [0, 5, 600, 40_000]);
}
