//! Deadlines, late replies, and session numbers that are used again.

use bytes::Bytes;
use skyring_codec::link::{CallerLimits, CallerLink, Dialect};
use skyring_codec::skynet::SESSION_MAX;

use crate::support::{
    DIALECTS, TEN, ask, call, callee, caller, connect, connected_caller, deliver, deliver_back, events,
    expired, greet, native_pair, pair, payload, post, reply, response, send, without_session,
};

#[test]
fn a_call_expires_at_its_deadline_and_its_session_is_free_at_once() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 5, Some(30_000), 1);
    assert_eq!(events(&mut caller, 29_999), Ok(vec![]));
    assert_eq!(caller.outstanding(), 1);
    assert_eq!(events(&mut caller, 30_000), Ok(vec![expired(1, true)]));
    assert_eq!((caller.outstanding(), caller.next_deadline()), (0, None));
}

#[test]
fn polling_at_the_next_deadline_expires_a_call_exactly_at_its_deadline() {
    for deadline in [1, 63, 64, 4_095, 30_000, 86_400_000] {
        let mut caller = connected_caller();
        ask(&mut caller, TEN, 5, Some(deadline), 1);
        let mut polls = 0;
        let expired_at = loop {
            let now = caller.next_deadline().expect("it is outstanding");
            polls += 1;
            assert!(
                now <= deadline && polls <= 11,
                "{deadline}: poll {polls} at {now}"
            );
            if !events(&mut caller, now).expect("no input").is_empty() {
                break now;
            }
        };
        assert_eq!(expired_at, deadline);
    }
}

#[test]
fn a_call_without_a_deadline_never_expires() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 5, None, 1);
    assert_eq!(events(&mut caller, u64::MAX), Ok(vec![]));
    assert_eq!(caller.outstanding(), 1);
}

#[test]
fn a_reply_that_was_received_before_the_poll_wins_over_the_expiry() {
    let mut caller = connected_caller();
    ask(&mut caller, TEN, 5, Some(10), 1);
    caller.receive(response(1, 1, &payload(3)));
    assert_eq!(events(&mut caller, 50), Ok(vec![reply(1, 3)]));
}

#[test]
fn a_late_reply_is_dropped_and_counted_and_ends_no_other_call() {
    for dialect in DIALECTS {
        let (mut caller, mut callee) = pair(dialect);
        ask(&mut caller, TEN, 5, Some(10), 1);
        assert_eq!(deliver(&mut caller, &mut callee)[0].session, 1);
        assert_eq!(events(&mut caller, 10), Ok(vec![expired(1, true)]));
        // Enough calls that in a small table one of them takes the entry of the first.
        for token in 2..=4_097 {
            ask(&mut caller, TEN, 5, None, token);
        }
        callee.respond(1, Ok(payload(1)));
        assert_eq!(deliver_back(&mut callee, &mut caller, 11), vec![]);
        assert_eq!((caller.late_replies(), caller.outstanding()), (1, 4_096));
        if dialect == Dialect::Skynet {
            caller.receive(response(1, 0, b"late error"));
            caller.receive(response(1, 2, &3u32.to_le_bytes()));
            caller.receive(response(1, 3, b"la"));
            caller.receive(response(1, 4, b"t"));
            caller.receive(response(0, 1, b"no call has this session"));
            assert_eq!(events(&mut caller, 11), Ok(vec![]));
            assert_eq!((caller.late_replies(), caller.outstanding()), (4, 4_096));
        }
    }
}

#[test]
fn a_call_that_expires_within_its_reply_leaves_nothing_behind() {
    // The limit admits one unfinished reply, so a rest of the first reply would refuse the second one.
    let limits = CallerLimits {
        reassembly_bytes_max: 5_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    caller.connected();
    ask(&mut caller, TEN, 5, Some(10), 1);
    ask(&mut caller, TEN, 5, None, 2);
    caller.receive(response(1, 2, &4_000u32.to_le_bytes()));
    caller.receive(response(1, 3, &payload(3_999)));
    assert_eq!(events(&mut caller, 10), Ok(vec![expired(1, true)]));
    caller.receive(response(2, 2, &4_000u32.to_le_bytes()));
    caller.receive(response(2, 3, &payload(3_999)));
    caller.receive(response(1, 4, b"!"));
    caller.receive(response(2, 4, &payload(4_000)[3_999..]));
    assert!(events(&mut caller, 10) == Ok(vec![reply(2, 4_000)]));
    assert_eq!(caller.late_replies(), 1);
}

#[test]
fn after_session_2147483647_comes_1_and_every_reply_finds_its_call() {
    for dialect in DIALECTS {
        let mut caller = CallerLink::with_first_session(without_session(), SESSION_MAX - 2);
        let mut callee = callee();
        connect(dialect, &mut caller, &mut callee, 0);
        for token in 0..6 {
            ask(&mut caller, TEN, token as usize, None, token);
        }
        let got = deliver(&mut caller, &mut callee);
        let sessions: Vec<_> = got.iter().map(|request| request.session).collect();
        assert_eq!(sessions, [SESSION_MAX - 2, SESSION_MAX - 1, SESSION_MAX, 1, 2, 3]);
        for request in got.into_iter().rev() {
            callee.respond(request.session, Ok(request.payload));
        }
        let expected: Vec<_> = (0..6).rev().map(|token| reply(token, token as usize)).collect();
        assert_eq!(deliver_back(&mut callee, &mut caller, 0), expected);
        assert!(caller.is_idle());
    }
}

// ---- the time that the native dialect carries ----

#[test]
fn the_remaining_time_is_that_at_which_the_request_is_written() {
    let (mut caller, mut callee) = native_pair();
    let deadlines = [
        None,
        Some(1_000),
        Some(401),
        Some(400),
        Some(1),
        Some(u64::MAX - 1),
    ];
    for (token, deadline) in deadlines.into_iter().enumerate() {
        caller
            .request(400, call(TEN, &payload(1), deadline, token as u64))
            .expect("accepted");
    }
    let got = deliver(&mut caller, &mut callee);
    let remaining: Vec<_> = got.iter().map(|request| request.remaining_ms).collect();
    // A call whose deadline has passed when it is written carries the least remaining time.
    assert_eq!(
        remaining,
        [None, Some(600), Some(1), Some(1), Some(1), Some(u32::MAX)]
    );
    assert!(got.iter().all(|request| request.source == 9));
}

#[test]
fn a_queued_call_carries_the_time_that_remains_and_one_past_its_deadline_is_not_sent() {
    let mut caller = caller();
    ask(&mut caller, TEN, 1, Some(1_000), 1);
    ask(&mut caller, TEN, 2, Some(300), 2);
    post(&mut caller, TEN, 3);
    let mut late = send(TEN, &Bytes::new());
    late.deadline = Some(300);
    caller.request(0, late).expect("accepted");
    let mut callee = callee();
    greet(&mut caller, &mut callee, 300);
    let got = deliver(&mut caller, &mut callee);
    let seen: Vec<_> = got
        .iter()
        .map(|request| (request.payload.len(), request.remaining_ms))
        .collect();
    assert_eq!(seen, [(1, Some(700)), (3, None)]);
    assert_eq!(events(&mut caller, 300), Ok(vec![expired(2, true)]));
}
