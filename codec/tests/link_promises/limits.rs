//! Every bound, and the answer past it.

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, Dialect, LinkError, ReplyError,
};
use skyring_codec::native::ErrorCode;
use skyring_codec::skynet::Address;

use crate::support::{
    DIALECTS, TEN, ask, call, callee, connected_caller, deliver, deliver_back, events, pair_of, payload,
    reply, requests, response, send, take_from_callee, take_from_caller, without_session,
};

#[test]
fn a_full_out_buffer_refuses_calls_until_bytes_are_transmitted() {
    // A message counts as its payload and 128 bytes.
    let limits = CallerLimits {
        out_buffer_bytes_max: 217,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    let full = LinkError::Overloaded {
        what: "out-buffer bytes",
        limit: 217,
    };
    caller
        .request(0, call(TEN, &payload(89), None, 1))
        .expect("exactly full");
    for is_connected in [false, true] {
        if is_connected {
            caller.connected();
        }
        assert_eq!(caller.request(0, call(TEN, &payload(0), None, 2)), Err(full));
        assert_eq!(caller.request(0, send(TEN, &payload(0))), Err(full));
        assert_eq!((caller.outstanding(), caller.out_buffer_bytes()), (1, 217));
    }
    take_from_caller(&mut caller, 10);
    assert_eq!(
        caller.out_buffer_bytes(),
        90,
        "the rest of a message that was begun"
    );
    assert_eq!(caller.request(0, call(TEN, &payload(0), None, 2)), Err(full));
    take_from_caller(&mut caller, 1);
    assert_eq!(caller.request(0, call(TEN, &payload(0), None, 2)), Ok(()));
}

#[test]
fn more_calls_than_sessions_are_refused_until_one_ends() {
    let mut caller = CallerLink::new(CallerLimits {
        sessions_max: 2,
        ..CallerLimits::default()
    });
    caller.connected();
    for token in 1..=2 {
        ask(&mut caller, TEN, 1, None, token);
    }
    let full = LinkError::Overloaded {
        what: "sessions",
        limit: 2,
    };
    assert_eq!(caller.request(0, call(TEN, &payload(1), None, 3)), Err(full));
    assert_eq!(
        caller.request(0, send(TEN, &payload(1))),
        Ok(()),
        "a send needs no session"
    );
    caller.receive(response(2, 0, b"no"));
    assert_eq!(events(&mut caller, 0).map(|events| events.len()), Ok(1));
    assert_eq!(caller.request(0, call(TEN, &payload(1), None, 3)), Ok(()));
    caller.close();
    assert_eq!(
        caller.request(0, call(TEN, &payload(1), None, 4)),
        Err(full),
        "the events of its lost calls were not polled"
    );
    assert_eq!(events(&mut caller, 0).map(|events| events.len()), Ok(2));
    assert_eq!(caller.request(0, call(TEN, &payload(1), None, 4)), Ok(()));
}

#[test]
fn a_message_that_is_too_large_is_refused_where_it_begins() {
    let limits = CallerLimits {
        message_bytes_max: 50_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    let refused = Err(LinkError::TooLarge {
        bytes: 50_001,
        limit: 50_000,
    });
    assert_eq!(caller.request(0, call(TEN, &payload(50_001), None, 1)), refused);
    assert_eq!(caller.request(0, send(TEN, &payload(50_001))), refused);
    assert!(caller.is_idle());
    assert_eq!(caller.request(0, call(TEN, &payload(50_000), None, 1)), Ok(()));
}

#[test]
fn a_name_without_a_byte_or_with_too_many_is_refused() {
    let mut caller = connected_caller();
    for name in [&b""[..], &[b'n'; 256]] {
        let refused = Err(LinkError::InvalidName { bytes: name.len() });
        assert_eq!(
            caller.request(0, call(Address::Name(name), &payload(1), None, 1)),
            refused
        );
        assert_eq!(caller.request(0, send(Address::Name(name), &payload(1))), refused);
    }
    assert!(caller.is_idle());
    assert_eq!(
        caller.request(0, call(Address::Name(&[b'n'; 255]), &payload(1), None, 1)),
        Ok(())
    );
}

#[test]
fn a_reply_that_is_too_large_ends_its_call_and_not_the_connection() {
    for (dialect, limit) in [(Dialect::Skynet, 50_000), (Dialect::Native, 1_000)] {
        let limits = CallerLimits {
            message_bytes_max: limit,
            ..without_session()
        };
        let (mut caller, mut callee) = pair_of(dialect, limits, CalleeLimits::default());
        for token in 1..=3 {
            ask(&mut caller, TEN, 1, None, token);
        }
        let got = deliver(&mut caller, &mut callee);
        callee.respond(got[0].session, Ok(payload(limit + 1)));
        callee.respond(got[1].session, Ok(payload(limit)));
        callee.respond_error(got[2].session, ErrorCode::Remote, &payload(1_001));
        callee.respond(77, Ok(payload(limit + 1)));
        let too_large = |token, bytes| CallerEvent::TooLarge { token, bytes };
        // The skynet dialect cuts error texts at a length below this limit.
        let last = match dialect {
            Dialect::Native => too_large(3, 1_001),
            Dialect::Skynet => CallerEvent::Reply {
                token: 3,
                result: Err(error(dialect, ErrorCode::Remote, payload(1_001))),
            },
        };
        let expected = [too_large(1, limit + 1), reply(2, limit), last];
        assert!(deliver_back(&mut callee, &mut caller, 0) == expected);
        // In the skynet dialect the last part of a reply that was refused at its head counts as well.
        let late = if dialect == Dialect::Native { 1 } else { 2 };
        assert_eq!(caller.late_replies(), late);
    }
}

/// An error reply as it arrives in a dialect.
fn error(dialect: Dialect, code: ErrorCode, text: impl Into<Bytes>) -> ReplyError {
    ReplyError {
        code: (dialect == Dialect::Native).then_some(code),
        text: text.into(),
    }
}

#[test]
fn an_answer_that_is_too_large_becomes_an_error_and_a_long_text_is_cut_and_a_send_has_no_answer() {
    let limits = CalleeLimits {
        message_bytes_max: 50_000,
        ..CalleeLimits::default()
    };
    for dialect in DIALECTS {
        let (mut caller, mut callee) = pair_of(dialect, without_session(), limits);
        for token in 1..=2 {
            ask(&mut caller, TEN, 1, None, token);
        }
        let got = deliver(&mut caller, &mut callee);
        callee.respond(0, Ok(payload(10)));
        callee.respond(0, Err(b"no such service"));
        callee.respond_error(0, ErrorCode::Remote, b"no such service");
        assert!(!callee.has_output(), "a send has no answer");
        callee.respond(got[0].session, Ok(payload(50_001)));
        callee.respond(got[1].session, Err(&payload(32_769)));
        let text = "too-large: response of 50001 bytes, limit 50000";
        let expected = [
            (1, error(dialect, ErrorCode::TooLarge, text)),
            (2, error(dialect, ErrorCode::Remote, payload(32_768))),
        ];
        let expected = expected.map(|(token, error)| CallerEvent::Reply {
            token,
            result: Err(error),
        });
        assert!(deliver_back(&mut callee, &mut caller, 0) == expected);
    }
}

#[test]
fn unfinished_replies_share_their_bound_and_the_one_that_crosses_it_ends() {
    let limits = CallerLimits {
        reassembly_bytes_max: 5_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    caller.connected();
    for token in 1..=2 {
        ask(&mut caller, TEN, 1, None, token);
        caller.receive(response(token as u32, 2, &4_000u32.to_le_bytes()));
        caller.receive(response(token as u32, 3, &payload(3_000)));
    }
    caller.receive(response(1, 4, &payload(4_000)[3_000..]));
    caller.receive(response(2, 4, &payload(1_000)));
    let expected = vec![
        CallerEvent::TooLarge {
            token: 2,
            bytes: 4_000,
        },
        reply(1, 4_000),
    ];
    assert!(events(&mut caller, 0) == Ok(expected));
}

#[test]
fn queued_answers_are_counted_so_that_reading_can_stop() {
    let limits = CalleeLimits {
        out_buffer_bytes_max: 1_000,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    callee.respond(1, Ok(payload(992)));
    assert!(!callee.is_output_full());
    callee.respond(2, Ok(payload(1)));
    assert!(callee.is_output_full());
    take_from_callee(&mut callee);
    assert!(!callee.is_output_full() && callee.out_buffer_bytes() == 0);
}

#[test]
fn the_callee_counts_whole_requests_and_reports_partial_input() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    assert_eq!((callee.requests_seen(), callee.has_partial_input()), (0, false));
    ask(&mut caller, TEN, 40_000, None, 1);
    for (count, seen, is_partial) in [
        (1, 0, true),
        (14, 0, true),
        (32_775, 0, true),
        (usize::MAX, 1, false),
    ] {
        let chunk = take_from_caller(&mut caller, count);
        requests(&mut callee, chunk);
        assert_eq!(
            (callee.requests_seen(), callee.has_partial_input()),
            (seen, is_partial),
            "{count}"
        );
    }
}
