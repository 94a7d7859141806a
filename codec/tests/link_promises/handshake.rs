//! The handshake: which dialect the two ends agree on, and how it fails.

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLink, CallerEvent, CallerLink, Dialect, HANDSHAKE_MS_MAX, Inbound, ProtocolError,
};
use skyring_codec::native::{Hello, HelloError};
use skyring_codec::seri::{Table, Value, pack};
use skyring_codec::skynet::{Address, RequestAddress, encode_error_response, encode_request};

use crate::support::{
    TEN, answer, arrive, ask, call, callee, caller, deliver, deliver_back, events, expired, greet, hello,
    hello_request, in_pieces, lengths, native_pair, ok_answer, payload, post, reply, requests,
    take_from_callee, take_from_caller, written,
};

const READY_SKYNET: CallerEvent = CallerEvent::Ready {
    dialect: Dialect::Skynet,
    peer: None,
};

fn error_answer(session: u32, text: &[u8]) -> Bytes {
    written(|out| encode_error_response(out, session, text))
}

/// Makes a call, a send and a call to a name before there is a connection.
fn queue_messages(caller: &mut CallerLink) {
    ask(caller, TEN, 20, Some(5_000), 1);
    post(caller, TEN, 40_000);
    ask(caller, Address::Name(b"@db"), 50_000, None, 2);
}

/// The queued messages arrive, and so do their answers.
fn assert_queued_arrive(caller: &mut CallerLink, callee: &mut CalleeLink) {
    let arrived = deliver(caller, callee);
    assert_eq!(lengths(&arrived), [20, 40_000, 50_000]);
    for request in arrived {
        callee.respond(request.session, Ok(request.payload));
    }
    assert!(deliver_back(callee, caller, 0) == [reply(1, 20), reply(2, 50_000)]);
    assert!(caller.is_idle());
}

#[test]
fn two_skyring_nodes_agree_on_the_native_dialect_and_queued_messages_are_sent() {
    let (mut caller, mut callee) = (caller(), callee());
    queue_messages(&mut caller);
    greet(&mut caller, &mut callee, 0);
    assert_eq!(
        (caller.dialect(), callee.dialect()),
        (Some(Dialect::Native), Dialect::Native)
    );
    assert_queued_arrive(&mut caller, &mut callee);
}

#[test]
fn nothing_but_the_hello_is_transmitted_before_its_answer() {
    let mut caller = caller();
    queue_messages(&mut caller);
    caller.dial(0, &hello()).expect("a valid hello");
    let greeting = take_from_caller(&mut caller, usize::MAX);
    post(&mut caller, TEN, 3);
    assert!(!caller.has_output() && caller.dialect().is_none() && caller.is_connected());
    let expected = hello().pack().expect("a valid hello");
    assert_eq!(
        greeting,
        written(|out| encode_request(out, Address::Handle(0), 1, &expected).expect("short"))
    );
}

#[test]
fn a_skynet_dialler_is_served_in_its_own_dialect() {
    let (mut caller, mut callee) = (caller(), callee());
    queue_messages(&mut caller);
    caller.connected();
    assert_queued_arrive(&mut caller, &mut callee);
    assert_eq!(
        (caller.dialect(), callee.dialect()),
        (Some(Dialect::Skynet), Dialect::Skynet)
    );
}

#[test]
fn after_a_refused_hello_both_speak_the_skynet_dialect() {
    let (mut caller, mut callee) = (caller(), callee());
    queue_messages(&mut caller);
    caller.dial(0, &hello()).expect("a valid hello");
    let greeting = take_from_caller(&mut caller, usize::MAX);
    assert_eq!(arrive(&mut callee, greeting), Ok(vec![Inbound::Hello(hello())]));
    callee.refuse_hello();
    // A Skynet node without such a name answers the same bytes.
    let refusal = take_from_callee(&mut callee);
    assert_eq!(refusal, error_answer(1, b"name not found"));
    caller.receive(refusal);
    assert_eq!(events(&mut caller, 0), Ok(vec![READY_SKYNET]));
    assert_queued_arrive(&mut caller, &mut callee);
    callee.refuse_hello();
    callee.accept_hello(&answer()).expect("a valid hello");
    assert!(!callee.has_output(), "it is answered once");
}

#[test]
fn nothing_comes_out_while_a_hello_awaits_its_answer() {
    let (mut first, mut second) = (caller(), callee());
    first.dial(0, &hello()).expect("a valid hello");
    let greeting = take_from_caller(&mut first, usize::MAX);
    let mut frames = caller();
    greet(&mut frames, &mut callee(), 0);
    post(&mut frames, TEN, 5);
    let early = take_from_caller(&mut frames, usize::MAX);
    // A dialler may send frames before the answer, in the same chunk or the next ones.
    let chunk = [greeting, early.slice(..9)].concat();
    assert_eq!(
        arrive(&mut second, chunk.into()),
        Ok(vec![Inbound::Hello(hello())])
    );
    assert_eq!(arrive(&mut second, early.slice(9..11)), Ok(vec![]));
    assert!(second.has_partial_input());
    second.accept_hello(&answer()).expect("a valid hello");
    assert_eq!(requests(&mut second, early.slice(11..)).len(), 1);
}

#[test]
fn both_speak_the_lower_version() {
    for (dialled, accepted, spoken) in [(1, 1, 1), (2, 1, 1), (1, 2, 1), (3, 2, 2)] {
        let (mut caller, mut callee) = (caller(), callee());
        let (dialler, acceptor) = (
            Hello {
                version: dialled,
                ..hello()
            },
            Hello {
                version: accepted,
                ..answer()
            },
        );
        caller.dial(0, &dialler).expect("a valid hello");
        let greeting = take_from_caller(&mut caller, usize::MAX);
        assert_eq!(arrive(&mut callee, greeting), Ok(vec![Inbound::Hello(dialler)]));
        callee.accept_hello(&acceptor).expect("a valid hello");
        caller.receive(take_from_callee(&mut callee));
        let peer = Some(Box::new(Hello {
            version: spoken,
            ..answer()
        }));
        let dialect = Dialect::Native;
        assert_eq!(
            events(&mut caller, 0),
            Ok(vec![CallerEvent::Ready { dialect, peer }])
        );
    }
}

#[test]
fn an_answer_with_a_version_that_was_not_offered_is_an_error() {
    let mut caller = caller();
    caller.dial(0, &hello()).expect("a valid hello");
    let later = Hello {
        version: 2,
        ..answer()
    }
    .pack()
    .expect("a valid hello");
    caller.receive(ok_answer(1, &later));
    let error = HelloError::Version {
        version: 2,
        offered: 1,
    };
    assert_eq!(events(&mut caller, 0), Err(error.into()));
}

#[test]
fn a_malformed_hello_is_refused_with_the_reason() {
    let table = |entries: Vec<(Value, Value)>| {
        Value::Table(Table {
            array: vec![],
            entries,
        })
    };
    let garbage = [
        (
            pack(&("skyring.hello", table(vec![]))),
            HelloError::Field { key: "version" },
        ),
        (
            pack(&(
                "skyring.hello",
                table(vec![(Value::from("version"), Value::Integer(0))]),
            )),
            HelloError::Field { key: "node" },
        ),
        (pack(&("skyring.hello", 7)), HelloError::Shape),
    ];
    for (payload, expected) in garbage {
        let payload = payload.expect("packable");
        let mut callee = callee();
        assert_eq!(
            arrive(&mut callee, hello_request(&payload)),
            Err(expected.clone().into())
        );
        let text = format!("invalid: {expected}");
        let refusal = take_from_callee(&mut callee);
        assert_eq!(refusal, error_answer(1, text.as_bytes()));
        // The dialler reports the reason.
        let mut caller = caller();
        caller.dial(0, &hello()).expect("a valid hello");
        caller.receive(refusal);
        assert_eq!(events(&mut caller, 0), Err(ProtocolError::HelloRefused { text }));
    }
    // Version 0 in an otherwise valid hello.
    let mut packed = hello().pack().expect("a valid hello").to_vec();
    let at = packed
        .windows(8)
        .position(|window| window == b"\x3cversion")
        .expect("it is there")
        + 8;
    packed.splice(at..at + 2, [0x02]);
    let error = HelloError::Field { key: "version" };
    assert_eq!(
        arrive(&mut callee(), hello_request(&packed.into())),
        Err(error.into())
    );
}

#[test]
fn a_query_for_the_name_alone_and_a_late_hello_are_queries() {
    let query = pack(&"skyring.hello").expect("packable");
    let got = requests(&mut callee(), hello_request(&query));
    assert_eq!((got.len(), &got[0].address), (1, &RequestAddress::Handle(0)));

    let mut callee = callee();
    let greeting = hello_request(&hello().pack().expect("a valid hello"));
    let first = written(|out| encode_request(out, TEN, 1, &payload(1)).expect("short"));
    let got = requests(&mut callee, [first, greeting].concat().into());
    assert_eq!(got.len(), 2);
    assert_eq!(callee.dialect(), Dialect::Skynet);
}

#[test]
fn a_malformed_answer_is_an_error_and_queued_messages_are_sent_on_the_next_connection() {
    let mut caller = caller();
    queue_messages(&mut caller);
    let handle = pack(&10).expect("packable");
    let head = Bytes::from_static(b"\x00\x09\x01\x00\x00\x00\x02\x00\x00\x01\x00");
    let refused = |text: &str| ProtocolError::HelloRefused {
        text: text.to_owned(),
    };
    for (bytes, expected) in [
        (ok_answer(1, &handle), HelloError::Shape.into()),
        (ok_answer(1, &Bytes::new()), HelloError::Shape.into()),
        (
            ok_answer(2, &answer().pack().expect("valid")),
            ProtocolError::HandshakeOrder,
        ),
        (error_answer(2, b"name not found"), ProtocolError::HandshakeOrder),
        (head, ProtocolError::HandshakeOrder),
        (error_answer(1, b"denied: not you"), refused("denied: not you")),
        (error_answer(1, &[b'x'; 9_000]), refused(&"x".repeat(256))),
    ] {
        caller.dial(0, &hello()).expect("a valid hello");
        take_from_caller(&mut caller, usize::MAX);
        caller.receive(bytes);
        assert_eq!(caller.poll_event(0), Err(expected));
        caller.disconnected();
        assert_eq!(events(&mut caller, 0), Ok(vec![]), "nothing was lost");
    }
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    assert_queued_arrive(&mut caller, &mut callee);
}

#[test]
fn a_handshake_that_takes_too_long_is_an_error_at_its_deadline() {
    let mut caller = caller();
    caller.dial(500, &hello()).expect("a valid hello");
    let end = 500 + HANDSHAKE_MS_MAX;
    assert_eq!(caller.next_deadline(), Some(end));
    assert_eq!(caller.poll_event(end - 1), Ok(None));
    let limit_ms = HANDSHAKE_MS_MAX;
    assert_eq!(
        caller.poll_event(end),
        Err(ProtocolError::HandshakeTime { limit_ms })
    );
    caller.disconnected();
    assert_eq!((caller.poll_event(end), caller.next_deadline()), (Ok(None), None));
    // The deadline of a call can be the earlier one.
    caller
        .request(end, call(TEN, &payload(1), Some(end + 50), 1))
        .expect("accepted");
    caller.dial(end, &hello()).expect("a valid hello");
    assert!(caller.next_deadline().is_some_and(|next| next <= end + 50));
    assert_eq!(caller.poll_event(end + 50), Ok(Some(expired(1, false))));
}

#[test]
fn a_connection_cut_at_any_byte_of_the_handshake_loses_nothing() {
    let (mut dialler, mut acceptor) = (caller(), callee());
    dialler.dial(0, &hello()).expect("a valid hello");
    let there = take_from_caller(&mut dialler, usize::MAX);
    arrive(&mut acceptor, there.clone()).expect("well-formed");
    acceptor.accept_hello(&answer()).expect("a valid hello");
    let back = take_from_callee(&mut acceptor);

    let mut caller = caller();
    queue_messages(&mut caller);
    for cut in 0..there.len() {
        caller.dial(0, &hello()).expect("a valid hello");
        let mut callee = callee();
        let arrived = arrive(&mut callee, take_from_caller(&mut caller, cut));
        assert_eq!(arrived, Ok(vec![]), "a hello of {cut} bytes");
        caller.disconnected();
        assert_eq!(events(&mut caller, 0), Ok(vec![]));
    }
    for cut in 0..back.len() {
        caller.dial(0, &hello()).expect("a valid hello");
        take_from_caller(&mut caller, usize::MAX);
        caller.receive(back.slice(..cut));
        assert_eq!(events(&mut caller, 0), Ok(vec![]), "an answer of {cut} bytes");
        caller.disconnected();
        assert_eq!(events(&mut caller, 0), Ok(vec![]));
    }
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    assert_queued_arrive(&mut caller, &mut callee);
}

#[test]
fn a_handshake_that_arrives_byte_by_byte_succeeds() {
    let (mut caller, mut callee) = (caller(), callee());
    queue_messages(&mut caller);
    caller.dial(0, &hello()).expect("a valid hello");
    let mut seen = Vec::new();
    in_pieces(take_from_caller(&mut caller, usize::MAX), &[1], |byte| {
        seen.extend(arrive(&mut callee, byte).expect("well-formed"));
    });
    assert_eq!(seen, [Inbound::Hello(hello())]);
    callee.accept_hello(&answer()).expect("a valid hello");
    let mut ready = Vec::new();
    in_pieces(take_from_callee(&mut callee), &[1], |byte| {
        caller.receive(byte);
        ready.extend(events(&mut caller, 0).expect("well-formed"));
    });
    assert_eq!(ready.len(), 1);
    assert_queued_arrive(&mut caller, &mut callee);
}

#[test]
fn an_invalid_own_hello_is_refused_before_anything_is_written() {
    let (mut caller, mut callee) = (caller(), callee());
    let invalid = Hello {
        threads: 0,
        ..hello()
    };
    let error = HelloError::Field { key: "threads" };
    assert_eq!(caller.dial(0, &invalid), Err(error.clone()));
    assert!(!caller.is_connected() && !caller.has_output());
    caller.dial(0, &hello()).expect("a valid hello");
    let greeting = take_from_caller(&mut caller, usize::MAX);
    arrive(&mut callee, greeting).expect("well-formed");
    assert_eq!(callee.accept_hello(&invalid), Err(error));
    assert!(!callee.has_output());
    callee
        .accept_hello(&answer())
        .expect("it still awaits its answer");
    assert!(callee.has_output());
}

#[test]
fn after_goodbye_new_messages_wait_for_the_next_connection_and_sent_calls_are_answered() {
    for is_callee_first in [true, false] {
        let (mut caller, mut callee) = native_pair();
        ask(&mut caller, TEN, 1, None, 1);
        let sent = take_from_caller(&mut caller, usize::MAX);
        if is_callee_first {
            callee.goodbye();
            assert_eq!(
                deliver_back(&mut callee, &mut caller, 0),
                vec![CallerEvent::Goodbye]
            );
        } else {
            caller.goodbye();
            let goodbye = take_from_caller(&mut caller, usize::MAX);
            assert_eq!(arrive(&mut callee, goodbye), Ok(vec![Inbound::Goodbye]));
        }
        ask(&mut caller, TEN, 2, None, 2);
        assert!(!caller.has_output());
        let session = requests(&mut callee, sent)[0].session;
        callee.respond(session, Ok(payload(3)));
        caller.receive(take_from_callee(&mut callee));
        let result = Ok(payload(3));
        assert_eq!(
            events(&mut caller, 0),
            Ok(vec![CallerEvent::Reply { token: 1, result }])
        );
        caller.disconnected();
        let mut next = self::callee();
        greet(&mut caller, &mut next, 0);
        assert_eq!(
            requests(&mut next, take_from_caller(&mut caller, usize::MAX)).len(),
            1
        );
    }
}

#[test]
fn a_link_can_move_to_another_thread() {
    fn is_send<T: Send + 'static>() {}
    is_send::<CalleeLink>();
    is_send::<CallerLink>();
    // In the middle of the handshake.
    let (mut caller, mut callee) = (caller(), callee());
    caller.dial(0, &hello()).expect("a valid hello");
    let greeting = take_from_caller(&mut caller, usize::MAX);
    arrive(&mut callee, greeting).expect("well-formed");
    let moved = std::thread::spawn(move || {
        callee.accept_hello(&answer()).expect("a valid hello");
        callee
    });
    let mut callee = moved.join().expect("it does not panic");
    caller.receive(take_from_callee(&mut callee));
    assert_eq!(events(&mut caller, 0).map(|events| events.len()), Ok(1));
    post(&mut caller, TEN, 5);
    assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
}
