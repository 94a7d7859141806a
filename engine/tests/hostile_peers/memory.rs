//! Peers that want all of the memory.

use std::time::Duration;

use skyring::limits::{HELD_BYTES_MAX, READ_BYTES_MAX, REQUEST_BYTES_MAX, memory_bytes_max};

use crate::healthy::Healthy;
use crate::peer::{Peer, head, pack, part, request};
use crate::server::{Options, SHARDS, Server};

/// The bytes that an allocator and one message in flight per shard may add to the counted ones.
const SLACK_BYTES: usize = 64 << 20;

#[test]
fn unfinished_messages_of_all_connections_stay_under_their_bound() {
    const PEERS: usize = 14;
    const MESSAGE_BYTES: usize = 15 << 20;
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let idle = server.memory_peak();
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| Peer::connect(server.address())).collect();
    // All but the last part of four messages each: together far more than the shards may hold.
    const { assert!(PEERS * 4 * MESSAGE_BYTES > SHARDS * HELD_BYTES_MAX * 3 / 2) };
    for session in 1..=4 {
        for peer in &mut peers {
            let _ = peer.send(&head("@echo", session, MESSAGE_BYTES as u32));
            let piece = part(session, &[7; 32_768], false);
            for _ in 0..MESSAGE_BYTES / 32_768 - 1 {
                if peer.send(&piece).is_err() {
                    break;
                }
            }
        }
    }
    server.wait_for("connections_greedy", 2);
    server.check_logged_once("held");
    let grown = server.memory_peak() - idle;
    println!("unfinished messages: {} KB", grown >> 10);
    assert!(grown > HELD_BYTES_MAX, "the bound was not met: {grown} bytes");
    assert!(grown < SHARDS * HELD_BYTES_MAX + SLACK_BYTES, "{grown} bytes");
    assert!(grown < memory_bytes_max(SHARDS, PEERS + SHARDS));
    healthy.finish();
    server.stop();
}

#[test]
fn requests_that_take_long_are_refused_when_they_are_too_many() {
    const ROUNDS: usize = 160;
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let idle = server.memory_peak();
    let payload = pack(&(12_000u32, "x".repeat(30_000)));
    let requests: Vec<u8> = (0..138u32)
        // Every other one is a send.
        .flat_map(|number| request("@late", if number % 2 == 0 { 0 } else { number }, &payload))
        .collect();
    // Who leaves does not take its requests along.
    assert!(ROUNDS * requests.len() > SHARDS * REQUEST_BYTES_MAX * 9 / 8);
    for _ in 0..ROUNDS {
        let mut peer = Peer::connect(server.address());
        let _ = peer.send(&requests);
    }
    server.wait_for("requests_refused", 1);
    server.check_logged_once("is refused");
    let refused = Peer::connect(server.address())
        .call("@late", &pack(&1u32))
        .expect("the first request of a connection is taken");
    assert_eq!(refused.kind, 1);
    let grown = server.memory_peak() - idle;
    println!("requests that take long: {} KB", grown >> 10);
    assert!(
        grown > REQUEST_BYTES_MAX / 2,
        "the bound was not met: {grown} bytes"
    );
    assert!(
        grown < SHARDS * (REQUEST_BYTES_MAX + READ_BYTES_MAX) + SLACK_BYTES,
        "{grown} bytes"
    );
    assert!(grown < memory_bytes_max(SHARDS, ROUNDS + SHARDS));
    // They end, and everything is taken again.
    std::thread::sleep(Duration::from_secs(12));
    let mut peer = Peer::connect(server.address());
    let before = server.counter("requests_refused");
    peer.send(
        &[
            request("@late", 1, &pack(&1u32)),
            request("@late", 2, &pack(&1u32)),
        ]
        .concat(),
    )
    .expect("sent");
    for _ in 0..2 {
        assert_eq!(peer.receive().expect("in time").expect("an answer").kind, 1);
    }
    assert_eq!(server.counter("requests_refused"), before);
    healthy.finish();
    server.stop();
}

/// Most of a read buffer full of sends that go nowhere, and a call to know that they were read.
fn fill_a_read_buffer(peer: &mut Peer) {
    let filler: Vec<u8> = (0..7).flat_map(|_| request("@nobody", 0, &[7; 30_000])).collect();
    peer.send(&filler).expect("sent");
    assert_eq!(peer.call("@echo", b"").expect("an answer").kind, 1);
}

#[test]
fn a_byte_does_not_keep_the_buffer_that_it_came_in() {
    const PEERS: usize = 1_000;
    let server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let mut fillers: Vec<Peer> = (0..SHARDS).map(|_| Peer::connect(server.address())).collect();
    fillers.iter_mut().for_each(fill_a_read_buffer);
    let idle = server.memory_peak();
    let mut peers = Vec::new();
    for _ in 0..PEERS / SHARDS {
        for filler in &mut fillers {
            let mut peer = Peer::connect(server.address());
            peer.send(b"\x01").expect("sent");
            peers.push(peer);
            fill_a_read_buffer(filler);
        }
    }
    let grown = server.memory_peak() - idle;
    println!("{PEERS} bytes, each in a buffer of its own: {} KB", grown >> 10);
    assert!(grown < 32 << 20, "{grown} bytes");
    healthy.finish();
    server.stop();
}

#[test]
fn a_small_request_that_takes_long_does_not_keep_the_buffer_that_it_came_in() {
    const REQUESTS: u32 = 1_000;
    let server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let idle = server.memory_peak();
    let mut peer = Peer::connect(server.address());
    let mut filler = Peer::connect(server.address());
    for _ in 0..SHARDS {
        fill_a_read_buffer(&mut filler);
    }
    let filler: Vec<u8> = (0..7).flat_map(|_| request("@nobody", 0, &[7; 30_000])).collect();
    for session in 1..=REQUESTS {
        peer.send(&request("@late", session, &pack(&8_000u32)))
            .expect("sent");
        peer.send(&filler).expect("sent");
    }
    for _ in 0..REQUESTS {
        assert_eq!(peer.receive().expect("in time").expect("an answer").kind, 1);
    }
    let grown = server.memory_peak() - idle;
    println!(
        "{REQUESTS} small requests, each in a buffer of its own: {} KB",
        grown >> 10
    );
    assert!(grown < READ_BYTES_MAX + (32 << 20), "{grown} bytes");
    healthy.finish();
    server.stop();
}
