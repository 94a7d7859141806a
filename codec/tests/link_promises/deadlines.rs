//! Deadlines, late replies, and session numbers that come back.

use bytes::Bytes;
use skyring_codec::link::{CallerEvent, CallerLimits, CallerLink};
use skyring_codec::skynet::SESSION_MAX;

use crate::support::{
    TEN, call, callee, connected_caller, events, payload, requests, response, take_from_caller,
};

#[test]
fn a_call_expires_at_its_deadline_and_its_session_is_free_at_once() {
    let mut caller = connected_caller();
    caller
        .request(0, call(TEN, &payload(5), Some(30_000), 1))
        .expect("accepted");
    assert_eq!(events(&mut caller, 29_999), Ok(vec![]));
    assert_eq!(caller.outstanding(), 1);
    assert_eq!(
        events(&mut caller, 30_000),
        Ok(vec![CallerEvent::Expired {
            token: 1,
            may_have_run: true
        }])
    );
    assert_eq!((caller.outstanding(), caller.next_deadline()), (0, None));
}

#[test]
fn following_the_next_deadline_expires_a_call_exactly_at_its_deadline() {
    for deadline in [1, 63, 64, 4_095, 30_000, 86_400_000] {
        let mut caller = connected_caller();
        caller
            .request(0, call(TEN, &payload(5), Some(deadline), 1))
            .expect("accepted");
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
fn a_call_without_a_deadline_waits_as_long_as_it_takes() {
    let mut caller = connected_caller();
    caller
        .request(0, call(TEN, &payload(5), None, 1))
        .expect("accepted");
    assert_eq!(events(&mut caller, u64::MAX), Ok(vec![]));
    assert_eq!(caller.outstanding(), 1);
}

#[test]
fn a_reply_that_was_received_before_the_poll_wins_over_the_expiry() {
    let mut caller = connected_caller();
    caller
        .request(0, call(TEN, &payload(5), Some(10), 1))
        .expect("accepted");
    caller.receive(response(1, 1, b"v"));
    let reply = CallerEvent::Reply {
        token: 1,
        result: Ok(Bytes::from_static(b"v")),
    };
    assert_eq!(events(&mut caller, 50), Ok(vec![reply]));
}

#[test]
fn a_late_reply_is_dropped_and_counted_and_meets_no_other_call() {
    let mut caller = connected_caller();
    caller
        .request(0, call(TEN, &payload(5), Some(10), 1))
        .expect("accepted");
    assert_eq!(
        events(&mut caller, 10),
        Ok(vec![CallerEvent::Expired {
            token: 1,
            may_have_run: true
        }])
    );
    // As many calls as put a session number into the place of the first in any small table.
    for token in 2..=4_097 {
        caller
            .request(0, call(TEN, &payload(5), None, token))
            .expect("accepted");
    }
    caller.receive(response(1, 1, b"late"));
    caller.receive(response(1, 0, b"late error"));
    caller.receive(response(1, 2, &3u32.to_le_bytes()));
    caller.receive(response(1, 3, b"la"));
    caller.receive(response(1, 4, b"t"));
    caller.receive(response(0, 1, b"nobody"));
    assert_eq!(events(&mut caller, 10), Ok(vec![]));
    assert_eq!((caller.late_replies(), caller.outstanding()), (4, 4_096));
}

#[test]
fn a_call_that_expires_within_its_reply_leaves_nothing_behind() {
    // Room for one unfinished reply, so what the first call leaves would refuse the second's.
    let limits = CallerLimits {
        reassembly_bytes_max: 5_000,
        ..CallerLimits::default()
    };
    let mut caller = CallerLink::new(limits);
    caller.connected();
    caller
        .request(0, call(TEN, &payload(5), Some(10), 1))
        .expect("accepted");
    caller
        .request(0, call(TEN, &payload(5), None, 2))
        .expect("accepted");
    caller.receive(response(1, 2, &4_000u32.to_le_bytes()));
    caller.receive(response(1, 3, &payload(3_999)));
    assert_eq!(
        events(&mut caller, 10),
        Ok(vec![CallerEvent::Expired {
            token: 1,
            may_have_run: true
        }])
    );
    caller.receive(response(2, 2, &4_000u32.to_le_bytes()));
    caller.receive(response(2, 3, &payload(3_999)));
    caller.receive(response(1, 4, b"!"));
    caller.receive(response(2, 4, &payload(4_000)[3_999..]));
    let reply = CallerEvent::Reply {
        token: 2,
        result: Ok(payload(4_000)),
    };
    assert!(events(&mut caller, 10) == Ok(vec![reply]));
    assert_eq!(caller.late_replies(), 1);
}

#[test]
fn after_session_2147483647_comes_1_but_not_one_that_is_outstanding() {
    let mut caller = CallerLink::with_first_session(CallerLimits::default(), SESSION_MAX - 1);
    caller.connected();
    for token in 0..3 {
        caller
            .request(0, call(TEN, &payload(1), None, token))
            .expect("accepted");
    }
    let mut callee = callee();
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).expect("well-formed");
    let sessions: Vec<_> = got.iter().map(|request| request.session).collect();
    assert_eq!(sessions, [SESSION_MAX - 1, SESSION_MAX, 1]);
    for (token, session) in sessions.into_iter().enumerate() {
        caller.receive(response(session, 1, b""));
        let reply = CallerEvent::Reply {
            token: token as u64,
            result: Ok(Bytes::new()),
        };
        assert_eq!(events(&mut caller, 0), Ok(vec![reply]));
    }
}
