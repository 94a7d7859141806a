//! Detached sessions are bounded, and end when their node is disabled.

use std::io::{Read, Write};
use std::net::TcpStream;

use skyring::ClusterMap;
use skyring::limits::SESSIONS_DETACHED_MAX;
use skyring_codec::link::{CallerLimits, CallerLink, CallerRequest};
use skyring_codec::native::{Hello, Resumption, VERSION};
use skyring_codec::skynet::Address;

use crate::cluster::{Echo, open, reload, serve};
use crate::node::wait_until;
use crate::start::start;

/// Connects as the node `name`, makes one call, and disconnects.
fn call_and_disconnect(address: &str, name: &str) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut link = CallerLink::new(CallerLimits::default());
    let hello = Hello {
        version: VERSION,
        node: name.to_owned(),
        channel: 1,
        channels: 1,
        threads: 1,
        epoch: 1,
        nonce: [1; 16],
        resume: Resumption::New,
        attempt: 0,
        traces: false,
    };
    link.dial(0, &hello).expect("a valid hello");
    let request = CallerRequest {
        address: Address::Name(b"@echo"),
        source: 0,
        key: 0,
        payload: bytes::Bytes::from_static(b"\x0c1"),
        deadline: None,
        token: Some(1),
        is_idempotent: false,
    };
    link.request(0, request).expect("accepted");
    loop {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = link.transmit(&mut slices);
        let written: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        stream.write_all(&written).expect("it is read");
        link.transmitted(written.len());
        while let Some(event) = link.poll_event(0).expect("well-formed") {
            if event.token() == Some(1) {
                return;
            }
        }
        if link.has_output() {
            continue;
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("it answers");
        assert!(count > 0, "it closed the connection");
        link.receive(bytes::Bytes::copy_from_slice(&buffer[..count]));
    }
}

#[test]
fn detached_sessions_are_bounded_and_end_when_their_node_is_disabled() {
    let db = start(1);
    serve(&db, "echo", |_| Echo("db"));
    let address = open(&db);
    let many = SESSIONS_DETACHED_MAX + 50;
    for number in 0..many {
        call_and_disconnect(&address, if number % 2 == 0 { "odd" } else { "even" });
    }
    wait_until("the oldest have ended", || {
        db.metrics().sessions_dropped.get() == 50
    });
    reload(&db, ClusterMap::new().disable("odd"));
    let half = (SESSIONS_DETACHED_MAX / 2) as u64;
    wait_until("those of the node have ended", || {
        db.metrics().sessions_dropped.get() == 50 + half
    });
    db.stop();
}
