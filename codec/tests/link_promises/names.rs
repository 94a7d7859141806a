//! Names on a connection: defined once, before their first use, and again when their number was reused.

use std::collections::HashSet;

use skyring_codec::link::{CallerLink, LinkError, ProtocolError};
use skyring_codec::native::{FrameError, HEADER_BYTES, NAMES_MAX};
use skyring_codec::skynet::{Address, RequestAddress};

use crate::support::{
    arrive, ask, call, callee, deliver, events, frame, greet, native_pair, payload, post, requests, send,
    take_from_caller,
};

fn name(index: usize) -> Vec<u8> {
    format!("@service-{index}").into_bytes()
}

#[test]
fn a_name_is_sent_once_and_every_request_carries_it() {
    let (mut caller, mut callee) = native_pair();
    let mut sizes = Vec::new();
    for token in 0..3 {
        ask(&mut caller, Address::Name(b"@sdb"), 5, None, token);
        let bytes = take_from_caller(&mut caller, usize::MAX);
        sizes.push(bytes.len());
        let got = requests(&mut callee, bytes);
        assert_eq!(got[0].address, RequestAddress::Name(b"@sdb"[..].into()));
    }
    let plain = HEADER_BYTES + 5;
    assert_eq!(sizes, [HEADER_BYTES + 4 + plain, plain, plain]);
}

#[test]
fn more_names_than_numbers_are_defined_again_and_never_confused() {
    let (mut caller, mut callee) = native_pair();
    let mut expected = Vec::new();
    let mut bytes = Vec::new();
    for index in (0..NAMES_MAX + 300)
        .chain(0..100)
        .chain(NAMES_MAX..NAMES_MAX + 100)
    {
        let name = name(index);
        let request = send(Address::Name(&name), &payload(1));
        caller.request(0, request).expect("accepted");
        expected.push(RequestAddress::Name(name.into()));
        // Only queued messages hold the number of their name, so each is transmitted at once.
        bytes.extend(take_from_caller(&mut caller, usize::MAX));
    }
    let got: Vec<_> = requests(&mut callee, bytes.into())
        .into_iter()
        .map(|request| request.address)
        .collect();
    assert!(got == expected);
}

#[test]
fn names_of_queued_messages_are_bounded() {
    let (mut caller, mut callee) = native_pair();
    for index in 0..NAMES_MAX {
        post(&mut caller, Address::Name(&name(index)), 1);
    }
    let full = LinkError::Overloaded {
        what: "names of queued messages",
        limit: NAMES_MAX,
    };
    assert_eq!(
        caller.request(0, send(Address::Name(b"@new"), &payload(1))),
        Err(full)
    );
    assert_eq!(
        caller.request(0, call(Address::Name(b"@new"), &payload(1), None, 1)),
        Err(full)
    );
    assert_eq!(caller.outstanding(), 0);
    caller
        .request(0, send(Address::Name(&name(5)), &payload(1)))
        .expect("a name that is there");
    let got = deliver(&mut caller, &mut callee);
    let distinct: HashSet<_> = got
        .iter()
        .map(|request| format!("{:?}", request.address))
        .collect();
    assert_eq!((got.len(), distinct.len()), (NAMES_MAX + 1, NAMES_MAX));
    caller
        .request(0, send(Address::Name(b"@new"), &payload(1)))
        .expect("all are transmitted");
}

#[test]
fn every_end_of_a_message_releases_its_name() {
    let (mut caller, _) = native_pair();
    let fill = |caller: &mut CallerLink, deadline| {
        for index in 0..NAMES_MAX {
            let name = name(index);
            let request = call(Address::Name(&name), &payload(1), deadline, index as u64);
            caller.request(0, request).expect("accepted");
        }
        let refused = caller.request(0, send(Address::Name(b"@new"), &payload(1)));
        assert!(refused.is_err());
    };
    // Begun and lost, expired without a connection, expired at the next connection, dropped.
    fill(&mut caller, None);
    take_from_caller(&mut caller, usize::MAX);
    caller.disconnected();
    events(&mut caller, 0).expect("no input");
    fill(&mut caller, Some(10));
    assert_eq!(events(&mut caller, 10).map(|events| events.len()), Ok(NAMES_MAX));
    fill(&mut caller, Some(20));
    greet(&mut caller, &mut callee(), 20);
    assert!(!caller.has_output());
    assert_eq!(events(&mut caller, 20).map(|events| events.len()), Ok(NAMES_MAX));
    fill(&mut caller, None);
    caller.close();
    events(&mut caller, 20).expect("no input");
    fill(&mut caller, None);
}

#[test]
fn a_number_without_a_name_is_an_error() {
    let (_, mut callee) = native_pair();
    let undefined = frame(1, 1, [1, 3, 0, 0], b"");
    let error = FrameError::NameUndefined { number: 3 };
    assert_eq!(arrive(&mut callee, undefined), Err(ProtocolError::Frame(error)));
}

#[test]
fn a_number_means_what_was_defined_last_in_front_of_it() {
    let (_, mut callee) = native_pair();
    let stream = [
        frame(5, 0, [0, 3, 0, 0], b"@old"),
        frame(1, 1, [1, 3, 0, 0], b""),
        frame(5, 0, [0, 3, 0, 0], b"@new"),
        frame(1, 1, [2, 3, 0, 0], b""),
        frame(1, 0, [3, 3, 0, 0], b""),
    ]
    .concat();
    let got: Vec<_> = requests(&mut callee, stream.into())
        .into_iter()
        .map(|request| request.address)
        .collect();
    let named = |name: &'static [u8]| RequestAddress::Name(name.into());
    assert_eq!(got, [named(b"@old"), named(b"@new"), RequestAddress::Handle(3)]);
}
