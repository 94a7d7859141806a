//! Time: what is carried to the callee, and what is not sent any more.

use bytes::Bytes;
use skyring_codec::link::CallerEvent;
use skyring_codec::skynet::SESSION_MAX;

use crate::support::{
    TEN, call, callee, caller, events, greet, native_pair, payload, requests, send, take_from_callee,
    take_from_caller,
};

#[test]
fn the_time_left_is_carried_as_it_is_when_the_request_is_written() {
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
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX));
    let left: Vec<_> = got.iter().map(|request| request.remaining_ms).collect();
    // A call that is out of time as it is written says so with the least there is.
    assert_eq!(left, [None, Some(600), Some(1), Some(1), Some(1), Some(u32::MAX)]);
    assert!(got.iter().all(|request| request.source == 9));
}

#[test]
fn a_call_that_waited_says_what_is_left_then_and_one_too_late_is_not_sent() {
    let mut caller = caller();
    caller
        .request(0, call(TEN, &payload(1), Some(1_000), 1))
        .expect("accepted");
    caller
        .request(0, call(TEN, &payload(2), Some(300), 2))
        .expect("accepted");
    caller.request(0, send(TEN, &payload(3))).expect("accepted");
    let mut late = send(TEN, &Bytes::new());
    late.deadline = Some(300);
    caller.request(0, late).expect("accepted");
    let mut callee = callee();
    greet(&mut caller, &mut callee, 300);
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX));
    let seen: Vec<_> = got
        .iter()
        .map(|request| (request.payload.len(), request.remaining_ms))
        .collect();
    assert_eq!(seen, [(1, Some(700)), (3, None)]);
    assert_eq!(
        events(&mut caller, 300),
        Ok(vec![CallerEvent::Expired {
            token: 2,
            may_have_run: true
        }])
    );
}

#[test]
fn a_reply_that_comes_too_late_is_counted_and_given_to_nobody() {
    let (mut caller, mut callee) = native_pair();
    caller
        .request(0, call(TEN, &payload(1), Some(10), 1))
        .expect("accepted");
    let session = requests(&mut callee, take_from_caller(&mut caller, usize::MAX))[0].session;
    assert_eq!(
        events(&mut caller, 10),
        Ok(vec![CallerEvent::Expired {
            token: 1,
            may_have_run: true
        }])
    );
    callee.respond(session, Ok(payload(1)));
    caller.receive(take_from_callee(&mut callee));
    assert_eq!(events(&mut caller, 11), Ok(vec![]));
    assert_eq!(caller.late_replies(), 1);
}

#[test]
fn sessions_wrap_and_every_reply_finds_its_call() {
    let mut caller = skyring_codec::link::CallerLink::with_first_session(
        crate::support::without_session(),
        SESSION_MAX - 2,
    );
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    for token in 0..6 {
        caller
            .request(0, call(TEN, &payload(token as usize), None, token))
            .expect("accepted");
    }
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX));
    let sessions: Vec<_> = got.iter().map(|request| request.session).collect();
    assert_eq!(sessions, [SESSION_MAX - 2, SESSION_MAX - 1, SESSION_MAX, 1, 2, 3]);
    for request in got.into_iter().rev() {
        callee.respond(request.session, Ok(request.payload));
    }
    caller.receive(take_from_callee(&mut callee));
    for event in events(&mut caller, 0).expect("well-formed") {
        let CallerEvent::Reply { token, result } = event else {
            panic!("{event:?}")
        };
        assert_eq!(result, Ok(payload(token as usize)));
    }
    assert!(caller.is_idle());
}
