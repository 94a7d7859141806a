//! Sizes at which a message is written in another way: both sides of each.

use skyring_codec::link::CallerEvent;
use skyring_codec::skynet::Address;

use crate::support::{
    DIALECTS, TEN, ask, callee, connected_caller, deliver, deliver_back, pair, payload, post, reply,
    requests, take_from_callee, take_from_caller,
};

#[test]
fn messages_on_both_sides_of_each_edge_arrive_and_their_answers_return() {
    let edges = [
        0, 1, 511, 512, 513, 32_766, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 1_000_000,
    ];
    for bytes in edges {
        for address in [TEN, Address::Name(b"@sdb")] {
            let (mut caller, mut callee) = (connected_caller(), callee());
            ask(&mut caller, address, bytes, Some(9), 7);
            post(&mut caller, address, bytes);
            let got = deliver(&mut caller, &mut callee);
            assert_eq!(got.len(), 2, "{bytes}");
            assert_eq!((got[0].session, got[1].session), (1, 0));
            for request in got {
                assert_eq!(request.address.as_address(), address);
                assert!(request.payload == payload(bytes), "{bytes}");
                callee.respond(request.session, Ok(request.payload));
            }
            assert!(
                deliver_back(&mut callee, &mut caller, 0) == [reply(7, bytes)],
                "{bytes}"
            );
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
        ask(&mut caller, TEN, bytes, None, 0);
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
fn a_short_push_uses_no_session_and_a_long_one_does() {
    let (mut caller, mut callee) = (connected_caller(), callee());
    post(&mut caller, TEN, 10);
    ask(&mut caller, TEN, 10, None, 0);
    post(&mut caller, TEN, 40_000);
    ask(&mut caller, TEN, 10, None, 0);
    let got = deliver(&mut caller, &mut callee);
    assert_eq!(
        got.iter().map(|request| request.session).collect::<Vec<_>>(),
        [0, 1, 0, 3]
    );
}

#[test]
fn payloads_that_arrive_in_one_chunk_are_slices_of_it() {
    for (dialect, long) in DIALECTS.into_iter().zip([3_000, 100_000]) {
        let (mut caller, mut callee) = pair(dialect);
        for length in [10, long] {
            ask(&mut caller, Address::Name(b"@sdb"), length, None, 1);
            let chunk = take_from_caller(&mut caller, usize::MAX);
            let got = requests(&mut callee, chunk.clone());
            assert!(chunk.as_ptr_range().contains(&got[0].payload.as_ptr()));
            callee.respond(got[0].session, Ok(got[0].payload.clone()));
            let chunk = take_from_callee(&mut callee);
            caller.receive(chunk.clone());
            let got = caller.poll_event(0).expect("well-formed");
            let Some(CallerEvent::Reply {
                result: Ok(reply), ..
            }) = got
            else {
                panic!("{got:?}")
            };
            assert!(chunk.as_ptr_range().contains(&reply.as_ptr()));
        }
    }
}
