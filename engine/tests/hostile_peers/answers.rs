//! Peers that ask and do not read the answers.

use skyring::limits::{ANSWER_BYTES_MAX, READ_BYTES_MAX, UNFINISHED_BYTES_MAX};

use crate::healthy::Healthy;
use crate::peer::{Peer, pack, request};
use crate::server::{LARGE_BYTES, Options, SHARDS, Server};

const PEERS: usize = 8;

/// More than any socket buffers take.
const FLOOD_BYTES: usize = 400 << 20;

/// The most that the node may hold for all of them: answers, with the spare capacity of their buffers, unfinished
/// requests, and read buffers of which these are slices.
const STUCK_BYTES_MAX: usize =
    PEERS * (2 * ANSWER_BYTES_MAX + UNFINISHED_BYTES_MAX) + SHARDS * READ_BYTES_MAX;

/// Connects peers that request answers without reading them, until the node stops reading.
fn stuck_peers(server: &Server) -> Vec<Peer> {
    let threads: Vec<_> = (0..PEERS)
        .map(|number| {
            // Short answers are copied together, longer ones chained.
            let payload = pack(&"x".repeat([100, 1_000, 30_000][number % 3]));
            let mut peer = Peer::connect(server.address());
            std::thread::spawn(move || {
                let sent = peer.flood(&request("@echo", 1, &payload), FLOOD_BYTES);
                assert!(sent < FLOOD_BYTES, "the node took everything");
                peer
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a stuck peer"))
        .collect()
}

#[test]
fn a_peer_that_never_reads_is_not_read_either_and_closed_in_the_end() {
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let (idle, descriptors) = (server.memory_peak(), server.descriptors());
    let mut peers = stuck_peers(&server);
    assert!(server.counter("reads_paused") >= PEERS as u64);
    let grown = server.memory_peak() - idle;
    println!("{PEERS} peers that never read: {} KB", grown >> 10);
    assert!(grown < STUCK_BYTES_MAX, "{grown} bytes");
    server.wait_for("connections_stalled", PEERS as u64);
    server.wait_for_descriptors(descriptors);
    server.check_logged_once("took no bytes");
    assert_eq!(server.counter("connections_stalled"), PEERS as u64);
    for peer in &mut peers {
        peer.wait_for_end();
    }
    healthy.finish();
    server.stop();
}

#[test]
fn peers_that_leave_while_answers_wait_for_them_leave_nothing_behind() {
    let server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let (idle, descriptors) = (server.memory_peak(), server.descriptors());
    for _ in 0..4 {
        drop(stuck_peers(&server));
        server.wait_for_descriptors(descriptors);
    }
    let grown = server.memory_peak() - idle;
    println!("four times {PEERS} stuck peers: {} KB", grown >> 10);
    assert!(grown < STUCK_BYTES_MAX, "{grown} bytes");
    healthy.finish();
    server.stop();
}

#[test]
fn large_unread_answers_end_the_connection_that_has_the_most() {
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| Peer::connect(server.address())).collect();
    // Half of them are on another shard than the service, so that answers come after many requests.
    let requests: Vec<u8> = (1..=500)
        .flat_map(|session| request("@large", session, b""))
        .collect();
    for peer in &mut peers {
        peer.send(&requests).expect("sent");
    }
    server.wait_for("connections_greedy", 1);
    server.check_logged_once("held");
    // Who reads gets everything.
    let mut reader = Peer::connect(server.address());
    reader.send(&request("@large", 1, b"")).expect("sent");
    let mut bytes = 0;
    while bytes < LARGE_BYTES {
        let answer = reader
            .receive()
            .expect("in time")
            .expect("the rest of the answer");
        assert!((2..=4).contains(&answer.kind));
        bytes += if answer.kind == 2 { 0 } else { answer.body.len() };
    }
    healthy.finish();
    server.stop();
}
