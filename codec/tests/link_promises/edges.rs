//! Both sides of the edges at which messages go in parts.

use skyring_codec::link::CallerEvent;
use skyring_codec::skynet::Address;

use crate::support::{
    call, callee, connected_caller, error_text, events, payload, requests, send, take_from_callee,
    take_from_caller,
};

#[test]
fn messages_at_both_sides_of_the_edges_arrive_and_their_answers_return() {
    let edges = [
        0, 1, 511, 512, 513, 32_766, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 1_000_000,
    ];
    for bytes in edges {
        for address in [Address::Handle(10), Address::Name(b"@sdb")] {
            let (mut caller, mut callee) = (connected_caller(), callee());
            caller
                .request(0, call(address, &payload(bytes), Some(9), 7))
                .expect("accepted");
            caller
                .request(0, send(address, &payload(bytes)))
                .expect("accepted");
            let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).expect("well-formed");
            assert_eq!(got.len(), 2, "{bytes}");
            assert_eq!((got[0].session, got[1].session), (1, 0));
            for request in got {
                assert_eq!(request.address.as_address(), address);
                assert!(request.payload == payload(bytes), "{bytes}");
                callee.respond(request.session, Ok(request.payload));
            }
            caller.receive(take_from_callee(&mut callee));
            let reply = CallerEvent::Reply {
                token: 7,
                result: Ok(payload(bytes)),
            };
            assert!(events(&mut caller, 0) == Ok(vec![reply]), "{bytes}");
            assert!(caller.is_idle() && !callee.has_partial_input());
        }
    }
}

#[test]
fn a_request_goes_in_parts_from_32768_bytes_on_and_a_response_above() {
    let packages_of = |stream: &[u8]| {
        let (mut at, mut count) = (0, 0);
        while at < stream.len() {
            at += 2 + usize::from(u16::from_be_bytes([stream[at], stream[at + 1]]));
            count += 1;
        }
        count
    };
    for (bytes, request_packages, response_packages) in [
        (32_767, 1, 1),
        (32_768, 2, 1),
        (32_769, 3, 3),
        (65_536, 3, 3),
        (65_537, 4, 4),
    ] {
        let (mut caller, mut callee) = (connected_caller(), callee());
        caller
            .request(0, call(Address::Handle(10), &payload(bytes), None, 0))
            .expect("accepted");
        let sent = take_from_caller(&mut caller, usize::MAX);
        assert_eq!(packages_of(&sent), request_packages, "request of {bytes}");
        callee.respond(1, Ok(payload(bytes)));
        assert_eq!(
            packages_of(&take_from_callee(&mut callee)),
            response_packages,
            "response of {bytes}"
        );
    }
}

#[test]
fn an_error_text_is_cut_at_32768_bytes() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    caller
        .request(0, call(Address::Handle(10), &payload(1), None, 5))
        .expect("accepted");
    callee.respond(1, Err(&payload(32_769)));
    caller.receive(take_from_callee(&mut callee));
    let reply = CallerEvent::Reply {
        token: 5,
        result: Err(error_text(payload(32_768))),
    };
    assert!(events(&mut caller, 0) == Ok(vec![reply]));
}

#[test]
fn a_short_push_uses_no_session_and_a_long_one_does() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    caller
        .request(0, send(Address::Handle(10), &payload(10)))
        .expect("accepted");
    caller
        .request(0, call(Address::Handle(10), &payload(10), None, 0))
        .expect("accepted");
    caller
        .request(0, send(Address::Handle(10), &payload(40_000)))
        .expect("accepted");
    caller
        .request(0, call(Address::Handle(10), &payload(10), None, 0))
        .expect("accepted");
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).expect("well-formed");
    assert_eq!(
        got.iter().map(|request| request.session).collect::<Vec<_>>(),
        [0, 1, 0, 3]
    );
}

#[test]
fn a_push_is_never_answered() {
    let mut callee = callee();
    callee.respond(0, Ok(payload(10)));
    callee.respond(0, Err(b"no such service"));
    assert!(!callee.has_output());
}

#[test]
fn a_payload_within_one_chunk_is_not_copied() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    caller
        .request(0, call(Address::Name(b"@sdb"), &payload(3_000), None, 0))
        .expect("accepted");
    let chunk = take_from_caller(&mut caller, usize::MAX);
    let got = requests(&mut callee, chunk.clone()).expect("well-formed");
    assert!(chunk.as_ptr_range().contains(&got[0].payload.as_ptr()));
}
