//! What waits: bounded, and good for whichever dialect comes.

use bytes::Bytes;
use skyring_codec::link::{CalleeLimits, CallerEvent, CallerLimits, CallerLink, LinkError};
use skyring_codec::skynet::{Address, RequestAddress};

use crate::support::{
    TEN, call, callee, caller, events, greet, native_pair_of, payload, requests, send, take_from_callee,
    take_from_caller,
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
    // Native, skynet and native again; of each connection only the first message gets through.
    for (token, address) in addresses.into_iter().enumerate() {
        caller
            .request(0, call(address, &payload(40_000 + token), None, token as u64))
            .expect("accepted");
        caller
            .request(0, send(address, &payload(50 + token)))
            .expect("accepted");
    }
    let (mut arrived, mut lost) = (Vec::new(), Vec::new());
    for is_native in [true, false, true, false] {
        let mut callee = callee();
        if is_native {
            greet(&mut caller, &mut callee, 0);
        } else {
            caller.connected();
        }
        // One byte of the next message is begun and lost with the connection.
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
    arrived.extend(requests(&mut callee, take_from_caller(&mut caller, usize::MAX)));
    assert_eq!(lost.len() + caller.outstanding(), 4);
    let mut lengths: Vec<_> = arrived.iter().map(|request| request.payload.len()).collect();
    for request in &arrived {
        assert!(request.payload == payload(request.payload.len()));
        let place = request.payload.len() % 10;
        let expected = match addresses[place] {
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

fn requests_seen(callee: &skyring_codec::link::CalleeLink) -> u64 {
    // The hello counts as one on the connections that begin with it.
    callee.requests_seen() - u64::from(callee.dialect() == skyring_codec::link::Dialect::Native)
}

#[test]
fn the_bound_on_waiting_bytes_is_the_same_whether_what_waits_is_written_or_not() {
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
        callee = crate::support::callee();
    }
    caller.connected();
    assert_eq!(caller.out_buffer_bytes(), held);
    assert_eq!(
        requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).len(),
        accepted
    );
    assert_eq!(caller.out_buffer_bytes(), 0);
}

#[test]
fn a_large_payload_is_written_from_where_it_lies_and_small_ones_together() {
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
    let got = requests(&mut callee, take_from_caller(&mut caller, usize::MAX));
    assert_eq!(got.len(), 4);
    callee.respond(1, Ok(large.clone()));
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    assert_eq!(callee.transmit(&mut slices), 2);
    assert_eq!(slices[1].as_ptr(), large.as_ptr());
}

#[test]
fn payloads_that_arrive_whole_are_slices_of_what_was_read() {
    let (mut caller, mut callee) = native_pair_of(CallerLimits::default(), CalleeLimits::default());
    for length in [10, 100_000] {
        caller
            .request(0, call(TEN, &payload(length), None, 1))
            .expect("accepted");
        let chunk = take_from_caller(&mut caller, usize::MAX);
        let got = requests(&mut callee, chunk.clone());
        assert!(chunk.as_ptr_range().contains(&got[0].payload.as_ptr()));
        callee.respond(got[0].session, Ok(got[0].payload.clone()));
        let chunk = take_from_callee(&mut callee);
        caller.receive(chunk.clone());
        let got = events(&mut caller, 0).expect("well-formed");
        let CallerEvent::Reply {
            result: Ok(reply), ..
        } = &got[0]
        else {
            panic!("{got:?}")
        };
        assert!(chunk.as_ptr_range().contains(&reply.as_ptr()));
    }
}

#[test]
fn a_call_of_which_a_part_of_the_name_was_transmitted_is_lost_like_any_other() {
    let mut caller = caller();
    greet(&mut caller, &mut callee(), 0);
    for token in 1..=2 {
        caller
            .request(0, call(Address::Name(b"@db"), &payload(3), None, token))
            .expect("accepted");
    }
    assert_eq!(take_from_caller(&mut caller, 1).len(), 1);
    caller.disconnected();
    let may_have_run = true;
    assert_eq!(
        events(&mut caller, 0),
        Ok(vec![CallerEvent::Lost {
            token: 1,
            may_have_run
        }])
    );
    // The other one finds its name defined anew.
    let mut callee = callee();
    greet(&mut caller, &mut callee, 0);
    assert_eq!(
        requests(&mut callee, take_from_caller(&mut caller, usize::MAX)).len(),
        1
    );
}
