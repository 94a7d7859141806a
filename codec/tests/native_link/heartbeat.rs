//! A peer that shows no sign of life is found out, in either dialect, and one that does is left alone.

use skyring_codec::link::{CalleeLimits, CalleeLink, CallerEvent, HeartbeatLimits, Inbound, ProtocolError};
use skyring_codec::native::{FrameKind, Header};

use crate::support::{
    TEN, arrive, call, callee, caller, events, greet, native_pair, payload, take_from_callee,
    take_from_caller,
};

const LIMITS: HeartbeatLimits = HeartbeatLimits {
    interval_ms: 500,
    silence_ms_max: 2_000,
};

#[test]
fn an_idle_peer_is_pinged_and_its_pong_keeps_the_connection() {
    let (mut caller, mut callee) = native_pair();
    caller.watch(LIMITS);
    for round in 1..20u32 {
        let now = caller.next_deadline().expect("a ping is due some time");
        assert_eq!(events(&mut caller, now), Ok(vec![]));
        let ping = take_from_caller(&mut caller, usize::MAX);
        let header = Header {
            session: round,
            ..Header::new(FrameKind::Ping)
        };
        assert_eq!(ping[..], header.encode());
        assert_eq!(arrive(&mut callee, ping), Ok(vec![]));
        caller.receive(take_from_callee(&mut callee));
        assert_eq!(events(&mut caller, now + 1), Ok(vec![]));
        assert_eq!(caller.pongs_received(), u64::from(round));
    }
}

#[test]
fn a_peer_that_stops_is_quiet_and_then_the_end_of_its_connection() {
    let (mut caller, _callee) = native_pair();
    caller.watch(LIMITS);
    let mut seen = Vec::new();
    let error = loop {
        let now = caller.next_deadline().expect("it is watched");
        match events(&mut caller, now) {
            Ok(events) => seen.extend(events.into_iter().map(|event| (now, event))),
            Err(error) => break (now, error),
        }
    };
    assert_eq!(seen, [(1_000, CallerEvent::Quiet)]);
    assert_eq!(error, (2_000, ProtocolError::Silent { ms: 2_000 }));
    caller.disconnected();
    assert_eq!(
        caller.next_deadline(),
        None,
        "nothing is watched without a connection"
    );
}

#[test]
fn a_skynet_peer_is_asked_for_a_name_that_nobody_has() {
    let (mut caller, mut callee) = (caller(), callee());
    caller.watch(LIMITS);
    caller.connected();
    for _ in 0..20 {
        let now = caller.next_deadline().expect("a ping is due some time");
        assert_eq!(events(&mut caller, now), Ok(vec![]));
        let arrived = arrive(&mut callee, take_from_caller(&mut caller, usize::MAX));
        let [Inbound::Request(request)] = &arrived.expect("well-formed")[..] else {
            panic!("one request comes");
        };
        assert_eq!(request.payload[..], *b"\x64skyring.ping");
        callee.respond(request.session, Err(b"name not found"));
        caller.receive(take_from_callee(&mut callee));
        assert_eq!(events(&mut caller, now), Ok(vec![]));
    }
    assert_eq!((caller.pongs_received(), caller.late_replies()), (20, 0));
}

#[test]
fn one_that_cannot_read_for_a_while_can_say_that_it_lives() {
    let (mut caller, mut callee) = native_pair();
    caller.watch(LIMITS);
    for now in (400..10_000).step_by(400) {
        callee.send_heartbeat();
        caller.receive(take_from_callee(&mut callee));
        assert_eq!(events(&mut caller, now), Ok(vec![]));
    }
    // The skynet dialect has no word for it.
    let mut skynet = CalleeLink::new(CalleeLimits::default());
    skynet.send_heartbeat();
    assert!(!skynet.has_output());
}

#[test]
fn calls_that_wait_for_a_connection_can_be_withdrawn_and_are_not_sent() {
    let (mut caller, mut callee) = native_pair();
    for token in 1..=2 {
        caller
            .request(0, call(TEN, &payload(3), None, token))
            .expect("there is room");
    }
    let both = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrive(&mut callee, both).map(|requests| requests.len()), Ok(2));
    caller.disconnected();
    for token in 3..=5 {
        caller
            .request(0, call(TEN, &payload(3), None, token))
            .expect("there is room");
    }
    caller.withdraw(|token| token % 2 == 1);
    let mut lost = Vec::new();
    for event in events(&mut caller, 1).expect("well-formed") {
        if let CallerEvent::Lost { token, may_have_run } = event {
            lost.push((token, may_have_run));
        }
    }
    for withdrawn in [(3, false), (5, false)] {
        assert!(lost.contains(&withdrawn), "{lost:?}");
    }
    assert!(!lost.contains(&(4, false)), "{lost:?}");
    let mut callee = CalleeLink::new(CalleeLimits::default());
    greet(&mut caller, &mut callee, 2);
    let rest = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrive(&mut callee, rest).map(|requests| requests.len()), Ok(1));
}

#[test]
fn what_a_connection_takes_already_is_not_withdrawn() {
    let (mut caller, mut callee) = native_pair();
    caller
        .request(0, call(TEN, &payload(3), None, 1))
        .expect("there is room");
    caller.withdraw(|_| true);
    assert_eq!(events(&mut caller, 1), Ok(vec![]));
    let sent = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrive(&mut callee, sent).map(|requests| requests.len()), Ok(1));
}
