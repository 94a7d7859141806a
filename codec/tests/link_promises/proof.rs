//! The cluster secret: who proves it is served, nobody else is, and a proof is worth nothing anywhere else.
//!
//! The bytes of the golden test were computed from the specification with another implementation of HMAC-SHA256.

use std::sync::Arc;

use bytes::Bytes;
use skyring_codec::link::{
    Access, CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, Dialect, Inbound, ProtocolError,
};
use skyring_codec::native::{HelloError, Resumption, SECRET_BYTES_MIN, Secrets, Unproved};
use skyring_codec::skynet::encode_error_response;

use crate::hex::bytes_of as golden;
use crate::support::{
    TEN, answer, arrive, ask, callee, caller, deliver, deliver_back, dial, events, frame, head, hello,
    in_pieces, lengths, payload, reply, request, requests, take_from_callee, take_from_caller, written,
};

const SECRET: &[u8] = b"the secret of the example cluster";

const HELLO: &str = "
    00 a8  00  00 00 00 00  01 00 00 00
    6c 73 6b 79 72 69 6e 67 2e 68 65 6c 6c 6f
    06
    3c 76 65 72 73 69 6f 6e  0a 01
    3c 63 68 61 6e 6e 65 6c  0a 01
    44 63 68 61 6e 6e 65 6c 73  0a 04
    3c 74 68 72 65 61 64 73  0a 04
    2c 65 70 6f 63 68  0a 07
    24 6e 6f 64 65  24 67 61 6d 65
    2c 6e 6f 6e 63 65  84 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66
    34 72 65 73 75 6d 65  09
    3c 61 74 74 65 6d 70 74  0a 01
    00
    15 28 00 bd ba 6b 29 20 d6 d7 3b
    7f 32 8c f8 ed 56 49 e4 41 57 56 84 1d d7 9b 60 80 88 fa 56 e2 65 a7 e4 1a c2 4b 11 39 d3 9a 6d";

const ANSWER: &str = "
    00 93  01 00 00 00  01
    6c 73 6b 79 72 69 6e 67 2e 68 65 6c 6c 6f
    06
    3c 76 65 72 73 69 6f 6e  0a 01
    3c 63 68 61 6e 6e 65 6c  0a 01
    44 63 68 61 6e 6e 65 6c 73  0a 02
    3c 74 68 72 65 61 64 73  0a 02
    2c 65 70 6f 63 68  22 ff ff ff ff
    24 6e 6f 64 65  14 64 62
    2c 6e 6f 6e 63 65  84 66 65 64 63 62 61 39 38 37 36 35 34 33 32 31 30
    34 72 65 73 75 6d 65  09
    00
    15 20 00
    da 95 a9 2d fe 5e ca 37 fa 79 01 8e b2 d4 8e ec dd 4a 80 5f cc 0c 0a 74 fd 91 b6 49 96 e9 a2 dc";

const PROOF: &str = "
    20 00 00 00  0a 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
    f3 6d 61 cb 94 03 c3 46 79 9f 8e 87 2e 29 9a 01 f1 63 14 c1 50 6e 2d d9 cb cf f9 16 3e 13 af da";

fn access_of(secrets: &[&[u8]]) -> Access {
    let secrets = secrets.iter().map(|secret| secret.to_vec().into());
    Access {
        secrets: Some(Arc::new(Secrets::new(secrets.collect()).expect("valid secrets"))),
        ..Access::default()
    }
}

fn access() -> Access {
    access_of(&[SECRET])
}

fn other() -> Access {
    access_of(&[&[b'x'; SECRET_BYTES_MIN]])
}

fn with_skynet() -> Access {
    Access {
        allows_skynet: true,
        ..access()
    }
}

fn guarded(access: Access) -> CalleeLink {
    CalleeLink::with_access(CalleeLimits::default(), access)
}

/// A dialler with a secret, which retains its messages in a session.
fn prover(access: Access) -> CallerLink {
    let mut caller = CallerLink::new(CallerLimits::default());
    caller.set_access(Some(access));
    caller
}

fn hello_of(caller: &mut CallerLink) -> Bytes {
    caller.dial(0, &hello()).expect("a valid hello");
    take_from_caller(caller, usize::MAX)
}

/// The hello arrives and is answered.
fn answered(caller: &mut CallerLink, callee: &mut CalleeLink) -> Bytes {
    let inbound = arrive(callee, hello_of(caller));
    assert!(
        matches!(inbound.as_deref(), Ok([Inbound::Hello(_)])),
        "{inbound:?}"
    );
    callee.accept_hello(&answer()).expect("a valid hello");
    take_from_callee(callee)
}

fn connect(caller: &mut CallerLink, callee: &mut CalleeLink) {
    let answer = answered(caller, callee);
    caller.receive(answer);
    let ready = events(caller, 0);
    assert!(
        matches!(
            ready.as_deref(),
            Ok([CallerEvent::Ready {
                dialect: Dialect::Native,
                ..
            }])
        ),
        "{ready:?}"
    );
}

fn unproved<T>(reason: Unproved) -> Result<T, ProtocolError> {
    Err(ProtocolError::Unproved(reason))
}

fn refusal(reason: Unproved) -> Bytes {
    written(|out| encode_error_response(out, 1, format!("denied: {reason}").as_bytes()))
}

#[test]
fn the_bytes_of_the_handshake_are_those_of_the_specification() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    caller.dial(0, &hello()).expect("a valid hello");
    assert_eq!(take_from_caller(&mut caller, usize::MAX), golden(HELLO));
    assert_eq!(
        arrive(&mut callee, golden(HELLO).into()).map(|inbound| inbound.len()),
        Ok(1)
    );
    let hello = answer();
    callee
        .accept_hello(&skyring_codec::native::Hello {
            resume: Resumption::New,
            ..hello
        })
        .expect("a valid hello");
    assert_eq!(take_from_callee(&mut callee), golden(ANSWER));
    caller.receive(golden(ANSWER).into());
    assert_eq!(events(&mut caller, 0).map(|events| events.len()), Ok(1));
    assert_eq!(take_from_caller(&mut caller, usize::MAX), golden(PROOF));
    assert_eq!(arrive(&mut callee, golden(PROOF).into()), Ok(vec![]));
    assert!(!callee.awaits_proof());
}

#[test]
fn two_nodes_with_the_secret_are_served_and_queued_messages_follow_the_proof() {
    for (dialler, acceptor) in [
        (access(), access()),
        (access_of(&[SECRET, &[7; 40]]), access()),
        (access_of(&[&[7; 40], SECRET]), access_of(&[&[8; 40], SECRET])),
    ] {
        let (mut caller, mut callee) = (prover(dialler), guarded(acceptor));
        ask(&mut caller, TEN, 20, None, 1);
        ask(&mut caller, TEN, 50_000, None, 2);
        connect(&mut caller, &mut callee);
        let arrived = deliver(&mut caller, &mut callee);
        assert_eq!(lengths(&arrived), [20, 50_000]);
        for request in arrived {
            callee.respond(request.session, Ok(request.payload));
        }
        assert_eq!(
            deliver_back(&mut callee, &mut caller, 0),
            [reply(1, 20), reply(2, 50_000)]
        );
    }
}

#[test]
fn a_handshake_with_proofs_succeeds_byte_by_byte() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    let mut seen = 0;
    in_pieces(hello_of(&mut caller), &[1], |byte| {
        seen += arrive(&mut callee, byte).expect("well-formed").len();
        assert!(callee.awaits_proof());
    });
    callee.accept_hello(&answer()).expect("a valid hello");
    in_pieces(take_from_callee(&mut callee), &[1], |byte| {
        caller.receive(byte);
        seen += events(&mut caller, 0).expect("well-formed").len();
    });
    assert_eq!(seen, 2);
    ask(&mut caller, TEN, 3, None, 1);
    in_pieces(take_from_caller(&mut caller, usize::MAX), &[1], |byte| {
        assert_eq!(callee.awaits_proof(), seen == 2 && callee.packages_seen() < 2);
        seen += arrive(&mut callee, byte).expect("well-formed").len();
    });
    assert_eq!(seen, 3);
}

#[test]
fn a_hello_without_the_secret_is_refused_with_the_reason_and_gets_no_proof() {
    for (mut dialler, reason) in [
        (caller(), Unproved::NoProof),
        (prover(other()), Unproved::OtherSecret),
    ] {
        let mut callee = guarded(access());
        let inbound = arrive(&mut callee, hello_of(&mut dialler));
        assert_eq!(inbound, unproved(reason));
        let sent = take_from_callee(&mut callee);
        assert_eq!(sent, refusal(reason));
        // Nothing more is looked at.
        callee.receive(frame(1, 0, [1, 10, 0, 0], b"x"));
        assert_eq!(callee.poll_inbound(), Ok(None));
        dialler.receive(sent);
        let text = format!("denied: {reason}");
        assert_eq!(events(&mut dialler, 0), Err(ProtocolError::HelloRefused { text }));
    }
}

#[test]
fn a_hello_that_was_changed_at_any_byte_is_not_answered() {
    let original = hello_of(&mut prover(access()));
    let covered = original.len() - 43;
    let name = original
        .windows(4)
        .position(|window| window == b"game")
        .expect("it is there");
    let name = name..name + 4;
    for at in 2..original.len() {
        let mut changed = original.to_vec();
        changed[at] ^= 1;
        let mut callee = guarded(access());
        let inbound = arrive(&mut callee, changed.into());
        // The session of the hello is only that of its answer, which the dialler takes in no other.
        if (7..11).contains(&at) {
            continue;
        }
        assert!(inbound.is_err(), "byte {at}: {inbound:?}");
        // In the text of a field that is read, the proof tells.
        if name.contains(&at) {
            assert_eq!(inbound, unproved(Unproved::Changed), "byte {at}");
        }
        assert!(at < covered || matches!(inbound, Err(ProtocolError::Unproved(_))));
    }
    // Values behind the proof would not be covered by it.
    let mut longer = original.to_vec();
    longer.push(0x01);
    let length = (longer.len() - 2) as u16;
    longer[..2].copy_from_slice(&length.to_be_bytes());
    assert_eq!(
        arrive(&mut guarded(access()), longer.into()),
        unproved(Unproved::NoProof)
    );
}

#[test]
fn a_replayed_hello_is_worth_nothing_without_its_secret() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    let recorded = hello_of(&mut caller);
    arrive(&mut callee, recorded.clone()).expect("well-formed");
    callee.accept_hello(&answer()).expect("a valid hello");
    caller.receive(take_from_callee(&mut callee));
    events(&mut caller, 0).expect("well-formed");
    ask(&mut caller, TEN, 3, None, 1);
    let recorded_frames = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(requests(&mut callee, recorded_frames.clone()).len(), 1);

    let mut again = guarded(access());
    assert!(arrive(&mut again, recorded).is_ok());
    let other_nonce = skyring_codec::native::Hello {
        nonce: *b"a later nonce...",
        ..answer()
    };
    again.accept_hello(&other_nonce).expect("a valid hello");
    take_from_callee(&mut again);
    assert!(!callee.can_resume(&again));
    assert_eq!(
        arrive(&mut again, recorded_frames),
        unproved(Unproved::OtherHandshake)
    );
    assert!(!again.has_output());
    assert_eq!(arrive(&mut again, frame(1, 0, [1, 10, 0, 0], b"x")), Ok(vec![]));
}

#[test]
fn a_reflected_proof_is_refused_at_both_ends() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    let answer = answered(&mut caller, &mut callee);
    let own = frame(10, 0, [0; 4], &answer[answer.len() - 32..]);
    assert_eq!(arrive(&mut callee, own), unproved(Unproved::Reflected));

    let mut caller = prover(access());
    let sent = hello_of(&mut caller);
    let mut reflected = self::answer().pack().expect("a valid hello").to_vec();
    reflected.extend([0x15, 32, 0]);
    reflected.extend(&sent[sent.len() - 32..]);
    caller.receive(crate::support::ok_answer(1, &reflected.into()));
    assert_eq!(events(&mut caller, 0), unproved(Unproved::Reflected));
}

#[test]
fn an_answer_without_the_right_proof_is_an_error_and_nothing_was_sent() {
    let mut honest = guarded(access());
    let good = answered(&mut prover(access()), &mut honest);
    let mut changed = good.to_vec();
    // The number of channels.
    let at = good
        .windows(2)
        .position(|pair| pair == [0x0a, 0x02])
        .expect("it is there")
        + 1;
    changed[at] = 3;
    let no_proof = self::answer().pack().expect("a valid hello");
    for (answer, reason) in [
        (crate::support::ok_answer(1, &no_proof), Unproved::NoProof),
        (changed.into(), Unproved::OtherHandshake),
        (refusal_of_a_skynet_node(), Unproved::SkynetDialect),
    ] {
        let mut caller = prover(access());
        ask(&mut caller, TEN, 3, None, 1);
        hello_of(&mut caller);
        caller.receive(answer);
        assert_eq!(caller.poll_event(0), unproved(reason));
        assert!(!caller.has_output());
        caller.disconnected();
        assert_eq!(
            events(&mut caller, 0),
            Ok(vec![]),
            "the call waits for another connection"
        );
    }
}

fn refusal_of_a_skynet_node() -> Bytes {
    written(|out| encode_error_response(out, 1, b"name not found"))
}

#[test]
fn anything_in_the_place_of_the_final_proof_is_an_error_and_nothing_of_it_is_kept() {
    for (first, reason) in [
        (frame(1, 0, [1, 10, 0, 0], b"x"), Unproved::EarlyFrame),
        (frame(2, 0, [0, 10, 0, 0], &[7; 5_000]), Unproved::EarlyFrame),
        (frame(6, 0, [1, 0, 0, 0], b""), Unproved::EarlyFrame),
        (frame(8, 0, [0; 4], b""), Unproved::EarlyFrame),
        (frame(10, 0, [0; 4], &[7; 32]), Unproved::OtherHandshake),
        (frame(10, 0, [0; 4], &[7; 31]), Unproved::OtherHandshake),
        (frame(10, 0, [0; 4], b""), Unproved::OtherHandshake),
    ] {
        let mut callee = guarded(access());
        answered(&mut prover(access()), &mut callee);
        assert!(callee.awaits_proof() && callee.next_resolved(1, |_| Some(1)).is_none());
        // The header alone decides.
        assert_eq!(arrive(&mut callee, first.slice(..23)), Ok(vec![]));
        assert_eq!(arrive(&mut callee, first.slice(23..)), unproved(reason));
        assert!(!callee.has_output());
    }
}

#[test]
fn the_skynet_dialect_is_refused_with_an_answer_and_nothing_long_is_kept() {
    let call = request(0, &[&10u32.to_le_bytes(), &5u32.to_le_bytes(), &payload(3)]);
    let mut callee = guarded(access());
    let reason = Unproved::SkynetDialect;
    assert_eq!(arrive(&mut callee, call.clone()), unproved(reason));
    let text = format!("denied: {reason}");
    let expected = written(|out| encode_error_response(out, 5, text.as_bytes()));
    assert_eq!(take_from_callee(&mut callee), expected);
    callee.receive(call);
    assert_eq!(callee.poll_inbound(), Ok(None));
    assert_eq!(arrive(&mut guarded(access()), head(1, 9, 100)), unproved(reason));
    // The length of the first package is enough.
    let mut callee = guarded(access());
    assert_eq!(
        arrive(&mut callee, Bytes::from_static(b"\xff\xff")),
        unproved(Unproved::TooLong)
    );
    assert!(callee.held_bytes() < 1_000);
}

#[test]
fn a_listed_skynet_peer_is_served_in_its_dialect_and_a_native_one_must_prove() {
    let call = request(0, &[&10u32.to_le_bytes(), &5u32.to_le_bytes(), &payload(3)]);
    let mut callee = guarded(with_skynet());
    assert!(callee.awaits_proof());
    assert_eq!(requests(&mut callee, call.clone()).len(), 1);
    assert!(!callee.awaits_proof());
    // A Skyring node without a secret is treated as a Skynet node, and one with another secret is refused.
    let mut callee = guarded(with_skynet());
    assert_eq!(arrive(&mut callee, hello_of(&mut caller())), Ok(vec![]));
    assert_eq!(take_from_callee(&mut callee), refusal_of_a_skynet_node());
    assert_eq!(requests(&mut callee, call).len(), 1);
    let mut callee = guarded(with_skynet());
    let inbound = arrive(&mut callee, hello_of(&mut prover(other())));
    assert_eq!(inbound, unproved(Unproved::OtherSecret));
    let (mut caller, mut callee) = (prover(with_skynet()), guarded(with_skynet()));
    connect(&mut caller, &mut callee);
    // The dialler's side.
    let mut caller = prover(with_skynet());
    hello_of(&mut caller);
    caller.receive(refusal_of_a_skynet_node());
    let ready = events(&mut caller, 0);
    assert!(matches!(
        ready.as_deref(),
        Ok([CallerEvent::Ready {
            dialect: Dialect::Skynet,
            ..
        }])
    ));
}

#[test]
fn a_node_that_is_not_the_one_that_was_dialled_gets_nothing() {
    for (node, is_right) in [("db", true), ("", true), ("db2", false)] {
        let mut caller = prover(Access {
            node: node.to_owned(),
            ..access()
        });
        let sent = answered(&mut caller, &mut guarded(access()));
        caller.receive(sent);
        let outcome = events(&mut caller, 0);
        let (answered, dialled) = ("db".to_owned(), node.to_owned());
        match is_right {
            true => assert_eq!(outcome.map(|events| events.len()), Ok(1)),
            false => assert_eq!(outcome, Err(HelloError::OtherNode { answered, dialled }.into())),
        }
    }
}

#[test]
fn a_session_resumes_with_a_proof_on_each_connection_and_keeps_its_answers_until_then() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    connect(&mut caller, &mut callee);
    ask(&mut caller, TEN, 20, None, 1);
    let arrived = deliver(&mut caller, &mut callee);
    callee.respond(arrived[0].session, Ok(payload(9)));
    take_from_callee(&mut callee);
    for connection in 0..3u8 {
        // Each break loses the answer; the acceptor has not noticed the break before the next hello.
        caller.disconnected();
        let mut greeted = guarded(access());
        arrive(&mut greeted, hello_of(&mut caller)).expect("well-formed");
        assert!(callee.can_resume(&greeted) && !callee.is_outdated(&greeted));
        let nonce = [connection; 16];
        let hello = skyring_codec::native::Hello { nonce, ..answer() };
        callee.resume(greeted, &hello).expect("it can be resumed");
        caller.receive(take_from_callee(&mut callee));
        assert_eq!(
            events(&mut caller, 0).map(|events| events.len()),
            Ok(1),
            "only that it is ready"
        );
        if connection == 2 {
            let proof = take_from_caller(&mut caller, usize::MAX);
            assert_eq!(arrive(&mut callee, proof), Ok(vec![]));
        }
        if connection == 1 {
            // It notices a break before the proof.
            assert!(callee.disconnected() && callee.is_session_proved());
        }
    }
    assert_eq!(deliver_back(&mut callee, &mut caller, 0), [reply(1, 9)]);
}

#[test]
fn a_replayed_hello_does_not_touch_the_session_that_it_names() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    connect(&mut caller, &mut callee);
    let proof = take_from_caller(&mut caller, usize::MAX);
    arrive(&mut callee, proof).expect("well-formed");
    caller.disconnected();
    let recorded = hello_of(&mut caller);
    let mut greeted = guarded(access());
    arrive(&mut greeted, recorded.clone()).expect("well-formed");
    callee.resume(greeted, &answer()).expect("it can be resumed");
    let mut replayed = guarded(access());
    arrive(&mut replayed, recorded).expect("well-formed");
    assert!(!callee.can_resume(&replayed) && callee.is_outdated(&replayed));
}

#[test]
fn a_wrong_final_proof_leaves_the_session_to_its_owner() {
    let (mut caller, mut callee) = (prover(access()), guarded(access()));
    connect(&mut caller, &mut callee);
    let proof = take_from_caller(&mut caller, usize::MAX);
    arrive(&mut callee, proof).expect("well-formed");
    caller.disconnected();
    // Somebody has taken the hello away from its sender, and sends it.
    let taken = hello_of(&mut caller);
    let mut greeted = guarded(access());
    arrive(&mut greeted, taken).expect("well-formed");
    callee.resume(greeted, &answer()).expect("it can be resumed");
    let wrong = frame(10, 0, [0; 4], &[7; 32]);
    assert_eq!(arrive(&mut callee, wrong), unproved(Unproved::OtherHandshake));
    assert!(callee.session_secret().is_some() && callee.disconnected());
    // Its sender tries again.
    caller.disconnected();
    let mut greeted = guarded(access());
    arrive(&mut greeted, hello_of(&mut caller)).expect("well-formed");
    assert!(callee.can_resume(&greeted));
    // A session whose caller has never proved anything ends.
    let mut fresh = guarded(access());
    answered(&mut prover(access()), &mut fresh);
    let _ = arrive(&mut fresh, frame(10, 0, [0; 4], &[7; 32]));
    assert!(fresh.session_secret().is_none() && !fresh.disconnected());
}

#[test]
fn without_a_secret_a_proof_is_ignored_in_a_hello_and_an_error_as_a_frame() {
    // A node without a secret answers as ever, which the dialler then refuses.
    let mut callee = callee();
    let mut caller = prover(access());
    let answer = answered(&mut caller, &mut callee);
    caller.receive(answer);
    assert_eq!(events(&mut caller, 0), unproved(Unproved::NoProof));
    assert!(arrive(&mut callee, frame(10, 0, [0; 4], &[7; 32])).is_err());
    let _ = dial(&mut self::caller(), 0);
}
