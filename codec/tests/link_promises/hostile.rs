//! Peers that violate the skynet dialect or its limits, and the memory that a connection holds.

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, ProtocolError, TRACE_KEPT_BYTES_MAX};
use skyring_codec::skynet::DecodeError;

use crate::support::{
    TEN, arrive, ask, callee, connected_caller, error_text, events, frame, head, native_pair, part, payload,
    request, requests, response, take_from_callee,
};

#[test]
fn partial_input_and_names_do_not_keep_the_chunks_that_they_arrived_in() {
    let name = b"\x04@sdb";
    let total = 40_000u32.to_le_bytes();
    let head_to_name = |session: u32| request(0x81, &[name, &session.to_le_bytes(), &total]);
    let skynet = [
        // A tag alone, a tag with a head, a head to a name, a part, half a package.
        request(0x04, &[b"tag"]),
        [request(0x04, &[b"tag"]), head(0x01, 1, 40_000)].concat().into(),
        head_to_name(1),
        [head_to_name(1), part(0x02, 1, &payload(9))].concat().into(),
        Bytes::from_static(b"\x00\x0d\x01"),
    ];
    let call = frame(1, 0, [1, 10, 0, 0], &payload(100));
    let native = [
        // A name, the header of a call, half a call, half a header.
        frame(5, 0, [0, 1, 0, 0], b"@name"),
        call.slice(..24),
        call.slice(..24 + 50),
        frame(6, 0, [1, 0, 0, 0], b"").slice(..9),
    ];
    let skynet = skynet.into_iter().map(|stream| (callee(), stream));
    let native = native.into_iter().map(|stream| (native_pair().1, stream));
    for (mut callee, stream) in skynet.chain(native) {
        let chunk = Bytes::from(stream.to_vec());
        assert_eq!(arrive(&mut callee, chunk.clone()), Ok(vec![]));
        assert!(chunk.is_unique(), "{stream:?}");
    }
}

#[test]
fn all_memory_that_a_connection_holds_is_counted() {
    let mut callee = callee();
    assert_eq!(callee.held_bytes(), 0);
    let mut held = 0;
    let mut more = |callee: &CalleeLink, at_least: usize, what: &str| {
        let before = std::mem::replace(&mut held, callee.held_bytes());
        assert!(
            callee.held_bytes() >= before + at_least,
            "{what}: {before}, then {}",
            callee.held_bytes()
        );
    };
    let heads: Vec<Bytes> = (1..=1_000).map(|session| head(0x01, session, 40_000)).collect();
    assert_eq!(arrive(&mut callee, heads.concat().into()), Ok(vec![]));
    more(&callee, 1_000 * 64, "heads");
    assert_eq!(arrive(&mut callee, part(0x02, 1, &payload(30_000))), Ok(vec![]));
    more(&callee, 30_000, "a part");
    let whole = part(0x02, 2, &payload(20_000));
    assert_eq!(arrive(&mut callee, whole.slice(..10_000)), Ok(vec![]));
    more(&callee, 10_000, "half a package");
    callee.receive(whole.slice(10_000..));
    more(&callee, 10_000, "a chunk that was not polled");
    callee.respond(9, Ok(payload(5_000)));
    more(&callee, 5_000, "an answer");
}

#[test]
fn an_idle_connection_releases_its_memory() {
    let mut callee = callee();
    for session in 1..=1_000 {
        let chunk = [head(0x01, session, 9), part(0x02, session, &payload(3))].concat();
        assert_eq!(arrive(&mut callee, chunk.into()), Ok(vec![]));
    }
    for session in 1..=1_000 {
        assert_eq!(requests(&mut callee, part(0x03, session, &payload(6))).len(), 1);
        callee.respond(session, Ok(payload(500)));
    }
    take_from_callee(&mut callee);
    assert!(callee.held_bytes() > 500_000);
    callee.release_memory();
    assert_eq!(callee.held_bytes(), 0);
}

#[test]
fn a_long_trace_tag_is_dropped_and_its_request_is_not() {
    for (tag_bytes, is_kept) in [(TRACE_KEPT_BYTES_MAX, true), (TRACE_KEPT_BYTES_MAX + 1, false)] {
        let tag = payload(tag_bytes);
        let handle_and_session = [10u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
        let stream = [request(0x04, &[&tag]), request(0x00, &[&handle_and_session])].concat();
        let taken = requests(&mut callee(), stream.into());
        let traces: Vec<Option<Bytes>> = taken.into_iter().map(|request| request.trace).collect();
        assert_eq!(traces, [is_kept.then_some(tag)]);
    }
}

/// The queued answers of a callee, as session and error text.
fn errors(callee: &mut CalleeLink) -> Vec<(u32, String)> {
    let stream = take_from_callee(callee);
    let mut rest = &stream[..];
    let mut errors = Vec::new();
    while let [high, low, after @ ..] = rest {
        let (package, more) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        let session = u32::from_le_bytes(package[..4].try_into().expect("four bytes"));
        assert_eq!(package[4], 0, "an error was expected");
        errors.push((session, String::from_utf8_lossy(&package[5..]).into_owned()));
        rest = more;
    }
    errors
}

#[test]
fn a_declared_size_over_the_limit_is_answered_once_and_the_connection_goes_on() {
    let mut callee = callee();
    let text = "too-large: request of 4294967295 bytes, limit 16842752".to_owned();
    for chunk in [
        head(0x01, 7, u32::MAX),
        part(0x02, 7, &payload(32_768)),
        part(0x02, 7, &payload(32_768)),
        part(0x03, 7, &payload(9)),
        // The same as a push has no answer.
        head(0x41, 8, u32::MAX),
        part(0x03, 8, &payload(9)),
    ] {
        assert_eq!(arrive(&mut callee, chunk), Ok(vec![]));
    }
    assert_eq!(errors(&mut callee), [(7, text)]);
    assert_eq!(
        (callee.requests_refused(), callee.has_partial_input()),
        (2, false)
    );
    let next = request(0x00, &[&10u32.to_le_bytes(), &9u32.to_le_bytes(), b"still here"]);
    assert_eq!(requests(&mut callee, next).len(), 1);
}

#[test]
fn a_small_request_over_the_limit_is_answered_and_the_connection_goes_on() {
    let mut callee = CalleeLink::new(CalleeLimits {
        message_bytes_max: 10,
        ..CalleeLimits::default()
    });
    for session in [5u32, 0] {
        let chunk = request(
            0x00,
            &[&10u32.to_le_bytes(), &session.to_le_bytes(), &payload(11)],
        );
        assert_eq!(arrive(&mut callee, chunk), Ok(vec![]));
    }
    assert_eq!(
        errors(&mut callee),
        [(5, "too-large: request of 11 bytes, limit 10".to_owned())]
    );
}

#[test]
fn unfinished_requests_share_their_bound_and_the_one_that_crosses_it_is_answered() {
    let limits = CalleeLimits {
        reassembly_bytes_max: 100_000,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    for session in 1..=4 {
        let chunk = [head(0x01, session, 90_000), part(0x02, session, &payload(30_000))].concat();
        assert_eq!(arrive(&mut callee, chunk.into()), Ok(vec![]));
    }
    let text = "too-large: request of 90000 bytes, limit 100000".to_owned();
    assert_eq!(errors(&mut callee), [(4, text)]);
    // The memory of the refused one is free for another.
    let chunk = [part(0x03, 4, b"rest"), head(0x01, 5, 5), part(0x03, 5, b"short")].concat();
    let got = requests(&mut callee, chunk.into());
    assert_eq!(got.iter().map(|request| request.session).collect::<Vec<_>>(), [5]);
}

#[test]
fn more_unfinished_messages_than_allowed_end_the_connection() {
    let limits = CalleeLimits {
        partial_messages_max: 100,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    for session in 1..=100 {
        // Refused ones count too, or their number would have no bound.
        let total = if session % 2 == 0 { u32::MAX } else { 50_000 };
        assert_eq!(arrive(&mut callee, head(0x41, session, total)), Ok(vec![]));
    }
    let error = Err(ProtocolError::PartialMessages { limit: 100 });
    assert_eq!(arrive(&mut callee, head(0x41, 101, 50_000)), error);
}

#[test]
fn parts_of_a_request_without_a_head_are_answered_at_the_last_one() {
    let mut callee = callee();
    let chunk = [
        part(0x02, 3, b"a"),
        part(0x02, 3, b"b"),
        part(0x03, 3, b"c"),
        part(0x03, 0, b"d"),
    ]
    .concat();
    assert_eq!(arrive(&mut callee, chunk.into()), Ok(vec![]));
    assert_eq!(errors(&mut callee), [(3, "Invalid large req".to_owned())]);
}

#[test]
fn parts_that_do_not_add_up_are_answered_once() {
    for parts in [
        vec![(0x02, 6), (0x02, 5), (0x02, 9), (0x03, 1)],
        vec![(0x03, 11)],
        vec![(0x02, 4), (0x03, 5)],
        vec![(0x03, 0)],
    ] {
        for head_type in [0x01, 0x41] {
            let mut callee = callee();
            callee.receive(head(head_type, 3, 10));
            for (type_byte, bytes) in &parts {
                assert_eq!(
                    arrive(&mut callee, part(*type_byte, 3, &payload(*bytes))),
                    Ok(vec![])
                );
            }
            let expected = if head_type == 0x01 {
                vec![(3, "Invalid large req".to_owned())]
            } else {
                vec![]
            };
            assert_eq!(errors(&mut callee), expected, "{parts:?}");
            assert!(!callee.has_partial_input());
            assert_eq!(callee.requests_refused(), 1);
        }
    }
}

#[test]
fn a_second_head_for_an_unfinished_request_ends_the_connection() {
    let mut callee = callee();
    callee.receive(head(0x01, 3, 40_000));
    callee.receive(head(0x01, 3, 40_000));
    assert_eq!(
        callee.poll_inbound(),
        Err(ProtocolError::HeadTwice { session: 3 })
    );
}

#[test]
fn requests_in_parts_may_be_interleaved_and_overtaken() {
    let mut callee = callee();
    let small = request(0x00, &[&10u32.to_le_bytes(), &4u32.to_le_bytes(), b"small"]);
    let chunk = [
        head(0x01, 1, 6),
        head(0x41, 2, 4),
        part(0x02, 1, b"abc"),
        part(0x02, 2, b"12"),
        small.to_vec().into(),
        part(0x03, 2, b"34"),
        part(0x03, 1, b"def"),
    ]
    .concat();
    let got = requests(&mut callee, chunk.into());
    let got: Vec<_> = got
        .iter()
        .map(|request| (request.session, &request.payload[..]))
        .collect();
    assert_eq!(got, [(4, &b"small"[..]), (0, b"1234"), (1, b"abcdef")]);
}

#[test]
fn a_request_in_parts_with_session_0_is_a_push() {
    let mut callee = callee();
    let chunk = [head(0x01, 0, 3), part(0x03, 0, b"abc"), head(0x01, 0, u32::MAX)].concat();
    let got = requests(&mut callee, chunk.into());
    assert_eq!((got.len(), got[0].session), (1, 0));
    assert!(!callee.has_output());
}

#[test]
fn a_malformed_package_is_an_error_at_both_ends() {
    let mut callee = callee();
    callee.receive(request(0x77, &[b"abc"]));
    let error = DecodeError::RequestType {
        type_byte: 0x77,
        bytes: 4,
    };
    assert_eq!(callee.poll_inbound(), Err(ProtocolError::Decode(error)));

    let mut caller = connected_caller();
    caller.receive(response(1, 9, b""));
    let error = DecodeError::ResponseType {
        type_byte: 9,
        session: 1,
    };
    assert_eq!(caller.poll_event(0), Err(ProtocolError::Decode(error)));
}

#[test]
fn a_reply_whose_parts_do_not_add_up_is_an_error() {
    let length = |declared, received| {
        Err(ProtocolError::ReplyLength {
            session: 1,
            declared,
            received,
        })
    };
    for (declared, parts, expected) in [
        (4u32, vec![(3, "abc"), (3, "de")], length(4, 5)),
        (4, vec![(3, "abc"), (4, "de")], length(4, 5)),
        (4, vec![(4, "abc")], length(4, 3)),
        (4, vec![(1, "abc")], length(4, 3)),
    ] {
        let mut caller = connected_caller();
        ask(&mut caller, TEN, 1, None, 1);
        caller.receive(response(1, 2, &declared.to_le_bytes()));
        for (type_byte, text) in parts {
            caller.receive(response(1, type_byte, text.as_bytes()));
        }
        assert_eq!(events(&mut caller, 0), expected);
    }
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, None, 1);
    caller.receive(response(1, 3, b"abc"));
    assert_eq!(
        events(&mut caller, 0),
        Err(ProtocolError::PartWithoutHead { session: 1 })
    );
    caller.disconnected();
}

#[test]
fn an_error_within_a_reply_in_parts_ends_the_call_as_it_does_in_skynet() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 1, None, 1);
    caller.receive(response(1, 2, &6u32.to_le_bytes()));
    caller.receive(response(1, 3, b"abc"));
    caller.receive(response(1, 0, b"broke"));
    let reply = CallerEvent::Reply {
        token: 1,
        result: Err(error_text(&b"broke"[..])),
    };
    assert_eq!(events(&mut caller, 0), Ok(vec![reply]));
    assert!(caller.outstanding() == 0);
}
