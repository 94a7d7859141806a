//! Queued messages: bounded, and written in the dialect of the connection that comes.

use bytes::Bytes;
use skyring_codec::link::{
    CalleeLimits, CalleeLink, CallerEvent, CallerLimits, CallerLink, Dialect, LinkError,
};
use skyring_codec::skynet::{Address, RequestAddress};

use crate::support::{
    TEN, ask, callee, caller, connect, deliver, events, greet, lengths, lost, native_pair, native_pair_of,
    payload, post, requests, send, take_from_caller,
};

#[test]
fn messages_that_were_not_begun_go_on_in_the_dialect_of_the_next_connection() {
    let mut caller = caller();
    let addresses = [
        TEN,
        Address::Name(b"@db"),
        Address::Name(b".local"),
        Address::Name(b"@db"),
    ];
    for (token, address) in addresses.into_iter().enumerate() {
        ask(&mut caller, address, 40_000 + token, None, token as u64);
        post(&mut caller, address, 50 + token);
    }
    // Of each connection only the first message arrives.
    let (mut arrived, mut lost) = (Vec::new(), Vec::new());
    for dialect in [Dialect::Native, Dialect::Skynet, Dialect::Native, Dialect::Skynet] {
        let mut callee = callee();
        connect(dialect, &mut caller, &mut callee, 0);
        // The next message is begun and lost with the connection.
        while requests_seen(&callee) < 1 {
            arrived.extend(requests(&mut callee, take_from_caller(&mut caller, 1_000)));
        }
        caller.disconnected();
        lost.extend(events(&mut caller, 0).expect("no input"));
    }
    assert!(lost.iter().all(|event| matches!(
        event,
        CallerEvent::Lost {
            may_have_run: true,
            ..
        }
    )));
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    arrived.extend(deliver(&mut caller, &mut callee));
    assert_eq!(lost.len() + caller.outstanding(), 4);
    let mut lengths = lengths(&arrived);
    for request in &arrived {
        let expected = match addresses[request.payload.len() % 10] {
            Address::Handle(handle) => RequestAddress::Handle(handle),
            Address::Name(name) => RequestAddress::Name(Bytes::copy_from_slice(name)),
        };
        assert_eq!(request.address, expected);
    }
    let count = lengths.len();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths.len(), count, "something arrived twice");
    assert!(count >= 5);
}

fn requests_seen(callee: &CalleeLink) -> u64 {
    // A hello counts as a request.
    callee.requests_seen() - u64::from(callee.dialect() == Dialect::Native)
}

#[test]
fn the_bound_on_queued_bytes_is_the_same_with_and_without_a_connection() {
    let limits = CallerLimits {
        out_buffer_bytes_max: 10_000,
        ..CallerLimits::default()
    };
    let full = LinkError::Overloaded {
        what: "out-buffer bytes",
        limit: 10_000,
    };
    let mut caller = CallerLink::new(limits);
    let mut accepted = 0;
    while caller
        .request(0, send(Address::Name(b"@db"), &payload(100)))
        .is_ok()
    {
        accepted += 1;
    }
    assert_eq!(accepted, 10_000 / (100 + 3 + 128));
    let held = caller.out_buffer_bytes();
    let mut callee = callee();
    for _ in 0..2 {
        greet(&mut caller, &mut callee, 0);
        assert_eq!(caller.out_buffer_bytes(), held);
        assert_eq!(
            caller.request(0, send(Address::Name(b"@db"), &payload(100))),
            Err(full)
        );
        caller.disconnected();
        assert_eq!(caller.out_buffer_bytes(), held);
        callee = self::callee();
    }
    caller.connected();
    assert_eq!(caller.out_buffer_bytes(), held);
    assert_eq!(deliver(&mut caller, &mut callee).len(), accepted);
    assert_eq!(caller.out_buffer_bytes(), 0);
}

#[test]
fn a_large_payload_is_written_by_reference_and_small_ones_are_copied_together() {
    let (mut caller, mut callee) = native_pair_of(CallerLimits::default(), CalleeLimits::default());
    let large = payload(100_000);
    for request in [
        send(TEN, &payload(5)),
        send(TEN, &large),
        send(TEN, &payload(6)),
        send(TEN, &payload(7)),
    ] {
        caller.request(0, request).expect("accepted");
    }
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let filled = caller.transmit(&mut slices);
    assert_eq!(filled, 3);
    assert_eq!(slices[1].as_ptr(), large.as_ptr());
    let got = deliver(&mut caller, &mut callee);
    assert_eq!(got.len(), 4);
    callee.respond(1, Ok(large.clone()));
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    assert_eq!(callee.transmit(&mut slices), 2);
    assert_eq!(slices[1].as_ptr(), large.as_ptr());
}

#[test]
fn a_call_is_lost_when_a_part_of_its_name_was_transmitted() {
    let mut caller = caller();
    greet(&mut caller, &mut callee(), 0);
    for token in 1..=2 {
        ask(&mut caller, Address::Name(b"@db"), 3, None, token);
    }
    assert_eq!(take_from_caller(&mut caller, 1).len(), 1);
    caller.disconnected();
    assert_eq!(events(&mut caller, 0), Ok(vec![lost(1, true)]));
    // The name of the other one is defined again.
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
}

#[test]
fn calls_queued_for_a_connection_can_be_withdrawn_and_are_not_sent() {
    let (mut caller, mut callee) = native_pair();
    for token in 1..=2 {
        ask(&mut caller, TEN, 3, None, token);
    }
    assert_eq!(deliver(&mut caller, &mut callee).len(), 2);
    caller.disconnected();
    for token in 3..=5 {
        ask(&mut caller, TEN, 3, None, token);
    }
    caller.withdraw(|token| token % 2 == 1);
    let all_lost = [(1, true), (2, true), (3, false), (5, false)].map(|(token, begun)| lost(token, begun));
    assert_eq!(events(&mut caller, 1), Ok(all_lost.to_vec()));
    let mut callee = self::callee();
    greet(&mut caller, &mut callee, 2);
    assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
}

#[test]
fn a_call_that_is_written_to_a_connection_is_not_withdrawn() {
    let (mut caller, mut callee) = native_pair();
    ask(&mut caller, TEN, 3, None, 1);
    caller.withdraw(|_| true);
    assert_eq!(events(&mut caller, 1), Ok(vec![]));
    assert_eq!(deliver(&mut caller, &mut callee).len(), 1);
}
