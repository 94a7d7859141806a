//! A silent peer is detected in either dialect, and a peer that shows signs of life keeps its connection.

use skyring_codec::link::{CallerEvent, HeartbeatLimits, ProtocolError};
use skyring_codec::native::{FrameKind, Header};

use crate::support::{arrive, callee, caller, deliver, deliver_back, events, native_pair, take_from_caller};

const LIMITS: HeartbeatLimits = HeartbeatLimits {
    interval_ms: 500,
    silence_ms_max: 2_000,
    turn_ms: 0,
};

#[test]
fn an_idle_peer_is_pinged_and_its_pong_keeps_the_connection() {
    let (mut caller, mut callee) = native_pair();
    caller.watch(LIMITS);
    for round in 1..20u32 {
        let now = caller.next_deadline().expect("a ping is due");
        assert_eq!(events(&mut caller, now), Ok(vec![]));
        let ping = take_from_caller(&mut caller, usize::MAX);
        let header = Header {
            session: round,
            ..Header::new(FrameKind::Ping)
        };
        assert_eq!(ping[..], header.encode());
        assert_eq!(arrive(&mut callee, ping), Ok(vec![]));
        assert_eq!(deliver_back(&mut callee, &mut caller, now + 1), vec![]);
        assert_eq!(caller.pongs_received(), u64::from(round));
    }
}

#[test]
fn a_peer_that_stops_is_reported_as_quiet_and_then_ends_the_connection() {
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
fn a_skynet_peer_is_pinged_with_a_query_for_a_name_that_does_not_exist() {
    let (mut caller, mut callee) = (caller(), callee());
    caller.watch(LIMITS);
    caller.connected();
    for _ in 0..20 {
        let now = caller.next_deadline().expect("a ping is due");
        assert_eq!(events(&mut caller, now), Ok(vec![]));
        let arrived = deliver(&mut caller, &mut callee);
        let [request] = &arrived[..] else {
            panic!("one request: {arrived:?}");
        };
        assert_eq!(request.payload[..], *b"\x64skyring.ping");
        callee.respond(request.session, Err(b"name not found"));
        assert_eq!(deliver_back(&mut callee, &mut caller, now), vec![]);
    }
    assert_eq!((caller.pongs_received(), caller.late_replies()), (20, 0));
}

#[test]
fn a_callee_that_does_not_read_for_a_while_can_send_a_heartbeat() {
    let (mut caller, mut callee) = native_pair();
    caller.watch(LIMITS);
    for now in (400..10_000).step_by(400) {
        callee.send_heartbeat();
        assert_eq!(deliver_back(&mut callee, &mut caller, now), vec![]);
    }
    // The skynet dialect has no such package.
    let mut skynet = self::callee();
    skynet.send_heartbeat();
    assert!(!skynet.has_output());
}
