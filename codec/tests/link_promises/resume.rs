//! Sessions that outlive their connections: which messages go on, which are reported as lost, and which peer may
//! resume a session.

use skyring_codec::link::{
    ACK_DELAY_MS_MAX, CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, CallerRequest,
    Inbound, LinkError, ProtocolError, SESSION_KEPT_MS_MAX,
};
use skyring_codec::native::{FrameError, Hello, HelloError, Resumption};
use skyring_codec::skynet::Address;

use crate::support::{
    TEN, answer, arrive, ask, call, deliver, deliver_back, dial, events, expired, frame, hello,
    hello_request, lengths, lost, native_pair_of, ok_answer, payload, post, reply, requests, send,
    take_from_callee, take_from_caller, without_session,
};

/// Both ends of a session.
pub(crate) fn pair() -> (CallerLink, CalleeLink) {
    native_pair_of(CallerLimits::default(), CalleeLimits::default())
}

/// The answer of an acceptor to a further connection: each has another nonce.
fn later_answer() -> Hello {
    Hello {
        nonce: *b"another-nonce---",
        ..answer()
    }
}

/// The caller dials again, and the callee resumes its session on the new connection.
pub(crate) fn resume(caller: &mut CallerLink, callee: &mut CalleeLink, now: u64) -> Vec<CallerEvent> {
    let greeted = dial(caller, now);
    assert!(callee.can_resume(&greeted));
    callee
        .resume(greeted, &later_answer())
        .expect("it can be resumed");
    let mut all = deliver_back(callee, caller, now);
    assert!(matches!(all.remove(0), CallerEvent::Ready { .. }));
    all
}

/// The caller dials again, and an acceptor without its session answers.
fn begin_anew(caller: &mut CallerLink, epoch: u64, now: u64) -> (CalleeLink, Vec<CallerEvent>) {
    let mut callee = dial(caller, now);
    let answer = Hello {
        epoch,
        ..later_answer()
    };
    callee.accept_hello(&answer).expect("a valid hello");
    let mut all = deliver_back(&mut callee, caller, now);
    assert!(matches!(all.remove(0), CallerEvent::Ready { .. }));
    (callee, all)
}

/// Makes a call whose token and payload length are `number`.
pub(crate) fn ask_number(caller: &mut CallerLink, number: usize, deadline: Option<u64>) {
    ask(caller, TEN, number, deadline, number as u64);
}

fn ask_idempotent(caller: &mut CallerLink, number: usize) {
    let request = CallerRequest {
        is_idempotent: true,
        ..call(Address::Name(b"@again"), &payload(number), None, number as u64)
    };
    caller.request(0, request).expect("accepted");
}

/// The error of an acknowledgement that is impossible.
fn impossible<T>(received: u64, acknowledged: u64, sent: u64) -> Result<T, ProtocolError> {
    Err(ProtocolError::from(FrameError::Acknowledgement {
        received,
        acknowledged,
        sent,
    }))
}

#[test]
fn a_connection_cut_at_any_byte_loses_nothing_and_repeats_nothing() {
    let there = 3 * 24 + 1_800 + 24 + 4 + 24 + 7;
    for cut in 0..=there {
        let (mut caller, mut callee) = pair();
        for number in 1..=3 {
            ask_number(&mut caller, number * 300, None);
        }
        post(&mut caller, Address::Name(b"@sdb"), 7);
        let mut seen = lengths(&requests(&mut callee, take_from_caller(&mut caller, cut)));
        caller.disconnected();
        assert!(
            callee.disconnected(),
            "though nothing may have come: cut at {cut}"
        );
        assert_eq!(events(&mut caller, 0), Ok(vec![]), "cut at {cut}");
        assert_eq!(resume(&mut caller, &mut callee, 0), []);
        seen.extend(lengths(&deliver(&mut caller, &mut callee)));
        assert_eq!(seen, [300, 600, 900, 7], "cut at {cut}");
    }
    let back = 3 * 24 + 100 + 600 + 1_100;
    for cut in 0..=back {
        let (mut caller, mut callee) = pair();
        for number in 1..=3 {
            ask_number(&mut caller, number, None);
        }
        let arrived = deliver(&mut caller, &mut callee);
        for (request, bytes) in arrived.iter().zip([100, 600, 1_100]) {
            callee.respond(request.session, Ok(payload(bytes)));
        }
        caller.receive(take_from_callee(&mut callee).slice(..cut));
        let mut ended = events(&mut caller, 0).expect("well-formed");
        caller.disconnected();
        assert!(callee.disconnected());
        ended.extend(resume(&mut caller, &mut callee, 0));
        assert!(
            ended == [reply(1, 100), reply(2, 600), reply(3, 1_100)],
            "cut at {cut}"
        );
        assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [0; 0]);
    }
}

#[test]
fn answers_without_a_connection_are_retained_for_the_next_one() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    ask_number(&mut caller, 2, None);
    let arrived = deliver(&mut caller, &mut callee);
    caller.disconnected();
    assert!(callee.disconnected());
    callee.respond(arrived[1].session, Err(b"no"));
    callee.respond(arrived[0].session, Ok(payload(2_000)));
    assert!(!callee.has_output());
    let ended = resume(&mut caller, &mut callee, 5);
    assert_eq!(
        ended.iter().map(CallerEvent::token).collect::<Vec<_>>(),
        [Some(2), Some(1)]
    );
}

#[test]
fn a_session_resumes_while_the_acceptor_still_has_the_old_connection() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    ask_number(&mut caller, 2, None);
    let sent = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(lengths(&requests(&mut callee, sent.slice(..30))), [1]);
    caller.disconnected();
    // The acceptor has not seen the end of the old connection. The rest of it is not read any more.
    assert_eq!(resume(&mut caller, &mut callee, 0), []);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [2]);
}

#[test]
fn a_handshake_that_breaks_is_repeated() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    ask_number(&mut caller, 2, None);
    let sent = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(lengths(&requests(&mut callee, sent.slice(..30))), [1]);
    for _ in 0..3 {
        caller.disconnected();
        let greeted = dial(&mut caller, 0);
        callee
            .resume(greeted, &later_answer())
            .expect("it can be resumed");
        // The answer does not arrive.
        let answer = take_from_callee(&mut callee);
        caller.receive(answer.slice(..answer.len() / 2));
        assert_eq!(events(&mut caller, 0), Ok(vec![]));
    }
    caller.disconnected();
    assert_eq!(resume(&mut caller, &mut callee, 0), []);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [2]);
}

#[test]
fn after_a_restart_what_was_begun_may_have_run_and_the_rest_goes_on() {
    for (epoch, is_restart) in [(1, true), (answer().epoch, false)] {
        let (mut caller, mut callee) = pair();
        ask_number(&mut caller, 1, None);
        ask_idempotent(&mut caller, 2);
        ask_idempotent(&mut caller, 3);
        post(&mut caller, TEN, 4);
        // The callee receives and acknowledges all of them, and answers one.
        let arrived = deliver(&mut caller, &mut callee);
        callee.tick(0);
        callee.tick(ACK_DELAY_MS_MAX);
        callee.respond(arrived[1].session, Ok(payload(1)));
        assert_eq!(deliver_back(&mut callee, &mut caller, 0), vec![reply(2, 1)]);
        // Of these the first is transmitted whole, the next one in part and the last ones not at all.
        ask_number(&mut caller, 5, None);
        ask_idempotent(&mut caller, 6);
        ask_number(&mut caller, 7, None);
        post(&mut caller, TEN, 8);
        take_from_caller(&mut caller, 24 + 5 + 1);
        caller.disconnected();
        ask_number(&mut caller, 9, None);

        let (mut callee, ended) = begin_anew(&mut caller, epoch, 0);
        let lost = |token| match is_restart {
            true => CallerEvent::Restarted { token },
            false => CallerEvent::Forgotten { token },
        };
        assert_eq!(ended, [lost(1), lost(5)]);
        let arrived = lengths(&deliver(&mut caller, &mut callee));
        assert_eq!(
            arrived,
            [3, 6, 7, 8, 9],
            "in the order in which they were accepted"
        );
        assert_eq!(caller.outstanding(), 4);
    }
}

#[test]
fn a_call_past_its_deadline_is_not_replayed_and_others_carry_their_remaining_time() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, Some(1_000));
    ask_number(&mut caller, 2, Some(5_000));
    ask_number(&mut caller, 3, None);
    take_from_caller(&mut caller, usize::MAX);
    caller.disconnected();
    assert_eq!(events(&mut caller, 1_500), Ok(vec![expired(1, true)]));
    assert_eq!(resume(&mut caller, &mut callee, 2_000), []);
    let arrived = deliver(&mut caller, &mut callee);
    let remaining: Vec<_> = arrived
        .iter()
        .map(|request| (request.payload.len(), request.remaining_ms))
        .collect();
    assert_eq!(remaining, [(2, Some(3_000)), (3, None)]);
    // The frame numbers still agree: the next break loses and repeats nothing either.
    caller.disconnected();
    callee.respond(arrived[0].session, Ok(payload(1)));
    assert_eq!(resume(&mut caller, &mut callee, 2_000), [reply(2, 1)]);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [0; 0]);
}

#[test]
fn an_impossible_acknowledgement_ends_the_connection() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    ask_number(&mut caller, 2, None);
    let arrived = deliver(&mut caller, &mut callee);
    callee.respond(arrived[0].session, Ok(payload(1)));
    let ack = |received: u32| frame(9, 0, [0, received, 0, 0], b"");
    caller.receive(ack(1));
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    caller.receive(ack(0));
    assert_eq!(events(&mut caller, 0), impossible(0, 1, 2));
    caller.receive(ack(3));
    assert_eq!(events(&mut caller, 0), impossible(3, 1, 2));
    caller.receive(frame(9, 0, [0, 0, 1, 0], b""));
    assert_eq!(events(&mut caller, 0), impossible(1 << 32, 1, 2));
    assert_eq!(arrive(&mut callee, ack(1)), Ok(vec![]));
    assert_eq!(arrive(&mut callee, ack(2)), impossible(2, 1, 1));
    // Without a session every acknowledgement is impossible.
    let (mut caller, mut callee) = native_pair_of(without_session(), CalleeLimits::default());
    caller.receive(ack(0));
    assert_eq!(events(&mut caller, 0), impossible(0, 0, 0));
    assert_eq!(arrive(&mut callee, ack(0)), impossible(0, 0, 0));
}

#[test]
fn a_hello_that_acknowledges_what_was_never_sent_ends_the_session() {
    for received in [0, 3] {
        let (mut caller, mut callee) = pair();
        ask_number(&mut caller, 1, None);
        ask_number(&mut caller, 2, None);
        deliver(&mut caller, &mut callee);
        caller.receive(frame(9, 0, [0, 1, 0, 0], b""));
        assert_eq!(events(&mut caller, 0), Ok(vec![]));
        caller.disconnected();
        dial(&mut caller, 0);
        let false_answer = Hello {
            resume: Resumption::Session {
                session: answer().nonce,
                received,
            },
            ..later_answer()
        };
        // No link sends this answer, so the test encodes it.
        caller.receive(ok_answer(1, &false_answer.pack().expect("a valid hello")));
        let error = events(&mut caller, 0).expect_err("a false acknowledgement");
        assert!(
            matches!(error, ProtocolError::Frame(FrameError::Acknowledgement { .. })),
            "{error}"
        );
        caller.disconnected();
        let lost = [1, 2].map(|token| CallerEvent::Forgotten { token });
        assert_eq!(events(&mut caller, 0), Ok(lost.to_vec()));
        // The next connection begins a new session.
        let (_, ended) = begin_anew(&mut caller, 3, 0);
        assert_eq!(ended, []);
    }
}

#[test]
fn only_a_hello_with_the_secret_takes_over_a_session() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    deliver(&mut caller, &mut callee);
    let mut refused = |hello: Hello| {
        let mut stranger = crate::support::callee();
        let packed = hello.pack().expect("a valid hello");
        let inbound = arrive(&mut stranger, hello_request(&packed));
        assert!(
            matches!(inbound.as_deref(), Ok([Inbound::Hello(_)])),
            "{inbound:?}"
        );
        let can = callee.can_resume(&stranger);
        if !can {
            assert_eq!(callee.resume(stranger, &later_answer()), Err(HelloError::Session));
        }
        !can
    };
    let of = |session: [u8; 16], received| Hello {
        resume: Resumption::Session { session, received },
        ..hello()
    };
    let mut other = answer().nonce;
    other[15] ^= 1;
    assert!(refused(of(other, 0)));
    assert!(refused(of(hello().nonce, 0)));
    assert!(refused(of(answer().nonce, 1)), "more answers than there are");
    assert!(refused(Hello {
        epoch: 8,
        ..of(answer().nonce, 0)
    }));
    assert!(refused(Hello {
        channel: 2,
        ..of(answer().nonce, 0)
    }));
    assert!(refused(hello()));
    assert!(!refused(of(answer().nonce, 0)));
}

#[test]
fn a_session_without_a_connection_ends_after_its_time() {
    let (mut caller, _) = pair();
    ask_number(&mut caller, 1, None);
    ask_number(&mut caller, 2, None);
    post(&mut caller, TEN, 3);
    take_from_caller(&mut caller, 30);
    // The link learns the current time only with the next poll.
    caller.disconnected();
    assert_eq!(events(&mut caller, 1_000), Ok(vec![]));
    assert_eq!(caller.next_deadline(), Some(1_000 + SESSION_KEPT_MS_MAX));
    assert_eq!(events(&mut caller, 999 + SESSION_KEPT_MS_MAX), Ok(vec![]));
    // A failed attempt to connect does not postpone the end.
    caller.dial(2_000, &hello()).expect("a valid hello");
    caller.disconnected();
    assert_eq!(
        events(&mut caller, 1_000 + SESSION_KEPT_MS_MAX),
        Ok(vec![lost(1, true), lost(2, true)])
    );
    assert_eq!(caller.next_deadline(), None);
    let (mut callee, ended) = begin_anew(&mut caller, answer().epoch, 70_000);
    assert_eq!(ended, []);
    assert_eq!(
        lengths(&deliver(&mut caller, &mut callee)),
        [3],
        "it was not begun"
    );
}

#[test]
fn without_a_session_what_was_sent_is_lost_with_its_connection() {
    let off_there = CalleeLimits {
        retained_bytes_max: 0,
        ..CalleeLimits::default()
    };
    for (here, there) in [
        (without_session(), CalleeLimits::default()),
        (CallerLimits::default(), off_there),
    ] {
        let (mut caller, mut callee) = native_pair_of(here, there);
        assert_eq!((caller.session_frames(), callee.session_secret()), (None, None));
        ask_number(&mut caller, 1, None);
        ask_number(&mut caller, 2, None);
        assert_eq!(
            lengths(&requests(&mut callee, take_from_caller(&mut caller, 30))),
            [1]
        );
        caller.disconnected();
        assert!(!callee.disconnected());
        assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true), lost(2, true)]));
    }
}

#[test]
fn messages_that_are_not_acknowledged_are_bounded_in_bytes() {
    let limits = CallerLimits {
        out_buffer_bytes_max: 10_000,
        ..CallerLimits::default()
    };
    let (mut caller, mut callee) = native_pair_of(limits, CalleeLimits::default());
    let request = || send(TEN, &payload(872));
    for _ in 0..10 {
        caller.request(0, request()).expect("accepted");
        take_from_caller(&mut caller, usize::MAX);
    }
    let refused = Err(LinkError::Overloaded {
        what: "out-buffer bytes",
        limit: 10_000,
    });
    assert_eq!(caller.request(0, request()), refused);
    caller.disconnected();
    assert_eq!(caller.request(0, request()), refused);
    assert_eq!(resume(&mut caller, &mut callee, 0), []);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)).len(), 10);
    callee.tick(0);
    callee.tick(ACK_DELAY_MS_MAX);
    assert_eq!(deliver_back(&mut callee, &mut caller, 0), vec![]);
    assert_eq!(caller.request(0, request()), Ok(()));
}

#[test]
fn a_caller_that_acknowledges_nothing_loses_the_oldest_answers_and_the_session_only_when_it_needs_them() {
    let limits = CalleeLimits {
        retained_bytes_max: 5_000,
        ..CalleeLimits::default()
    };
    for is_received in [true, false] {
        let (mut caller, mut callee) = native_pair_of(CallerLimits::default(), limits);
        for number in 1..=20 {
            ask_number(&mut caller, number, None);
        }
        for request in deliver(&mut caller, &mut callee) {
            callee.respond(request.session, Ok(payload(1_000)));
            assert!(callee.out_buffer_bytes() + callee.held_bytes() < 100_000);
        }
        let answers = take_from_callee(&mut callee);
        if is_received {
            caller.receive(answers.slice(..answers.len() - 1_000));
            assert_eq!(events(&mut caller, 0).map(|all| all.len()), Ok(19));
        }
        caller.disconnected();
        assert!(callee.disconnected());
        let greeted = dial(&mut caller, 0);
        assert_eq!(callee.can_resume(&greeted), is_received);
    }
}

#[test]
fn after_goodbye_the_session_ends_with_the_connection() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    caller.goodbye();
    assert_eq!(
        arrive(&mut callee, take_from_caller(&mut caller, usize::MAX)).map(|all| all.len()),
        Ok(2)
    );
    assert!(!callee.disconnected());
    // An acknowledgement that was in flight is no error.
    caller.receive(frame(9, 0, [0, 1, 0, 0], b""));
    assert_eq!(events(&mut caller, 0), Ok(vec![]));
    caller.disconnected();
    assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true)]));
    assert!(caller.is_idle());
}

#[test]
fn an_abandoned_peer_may_still_resume_the_session() {
    let (mut caller, mut callee) = pair();
    ask_number(&mut caller, 1, None);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [1]);
    ask_number(&mut caller, 2, None);
    caller.abandon();
    assert_eq!(
        events(&mut caller, 0),
        Ok(vec![lost(1, true), lost(2, true)]),
        "the second is still transmitted"
    );
    ask_number(&mut caller, 3, None);
    caller.disconnected();
    assert_eq!(resume(&mut caller, &mut callee, 0), []);
    assert_eq!(lengths(&deliver(&mut caller, &mut callee)), [3]);
}
