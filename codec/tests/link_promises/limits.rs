//! Every bound, and what is answered past it.

use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, LinkError};
use skyring_codec::skynet::Address;

use crate::support::{
    TEN, call, callee, connected_caller, error_text, events, payload, requests, response, send,
    take_from_callee, take_from_caller,
};

#[test]
fn a_full_out_buffer_refuses_calls_until_bytes_have_left() {
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
        "what is left of a message that was begun"
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
        caller
            .request(0, call(TEN, &payload(1), None, token))
            .expect("accepted");
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
        "its losses were not polled"
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
    let limits = CallerLimits {
        message_bytes_max: 50_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    caller.connected();
    let mut callee = callee();
    for token in 1..=2 {
        caller
            .request(0, call(TEN, &payload(1), None, token))
            .expect("accepted");
    }
    callee.respond(1, Ok(payload(50_001)));
    callee.respond(2, Ok(payload(50_000)));
    caller.receive(take_from_callee(&mut callee));
    let expected = vec![
        CallerEvent::TooLarge {
            token: 1,
            bytes: 50_001,
        },
        CallerEvent::Reply {
            token: 2,
            result: Ok(payload(50_000)),
        },
    ];
    assert!(events(&mut caller, 0) == Ok(expected));
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
        caller
            .request(0, call(TEN, &payload(1), None, token))
            .expect("accepted");
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
        CallerEvent::Reply {
            token: 1,
            result: Ok((*payload(4_000)).to_vec().into()),
        },
    ];
    assert!(events(&mut caller, 0) == Ok(expected));
}

#[test]
fn an_answer_that_is_too_large_becomes_an_error_text() {
    let limits = CalleeLimits {
        message_bytes_max: 50_000,
        ..CalleeLimits::default()
    };
    let mut callee = CalleeLink::new(limits);
    let mut caller = connected_caller();
    caller
        .request(0, call(TEN, &payload(1), None, 1))
        .expect("accepted");
    callee.respond(1, Ok(payload(50_001)));
    caller.receive(take_from_callee(&mut callee));
    let text = b"too-large: response of 50001 bytes, limit 50000";
    let reply = CallerEvent::Reply {
        token: 1,
        result: Err(error_text(&text[..])),
    };
    assert_eq!(events(&mut caller, 0), Ok(vec![reply]));
}

#[test]
fn waiting_answers_are_counted_so_that_reading_can_stop() {
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
fn the_first_finished_request_and_held_bytes_show_whether_a_connection_is_of_use() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    assert_eq!((callee.requests_seen(), callee.has_partial_input()), (0, false));
    caller
        .request(0, call(TEN, &payload(40_000), None, 1))
        .expect("accepted");
    for (count, seen, is_partial) in [
        (1, 0, true),
        (14, 0, true),
        (32_775, 0, true),
        (usize::MAX, 1, false),
    ] {
        let chunk = take_from_caller(&mut caller, count);
        requests(&mut callee, chunk).expect("well-formed");
        assert_eq!(
            (callee.requests_seen(), callee.has_partial_input()),
            (seen, is_partial),
            "{count}"
        );
    }
}
