//! Bytes that are not the protocol, or are it only just.

use crate::healthy::Healthy;
use crate::peer::{Peer, head, pack, part, request, request_to_handle};
use crate::server::{Options, Server};

/// Numbers that look random and are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(count)
            .collect()
    }
}

#[test]
fn random_bytes_end_their_connection_and_no_other() {
    const PEERS: usize = 200;
    let mut server = Server::start(Options::default());
    let idle = server.memory_peak();
    let healthy = Healthy::start(&server);
    let mut random = Random(0x5eed);
    for _ in 0..PEERS {
        let mut peer = Peer::connect(server.address());
        let count = 1 + random.next() as usize % 200_000;
        // The node may close the connection before it has everything.
        let _ = peer.send(&random.bytes(count));
    }
    // A few happen to begin with what could be the protocol.
    server.wait_for("connections_malformed", PEERS as u64 * 3 / 4);
    server.check_logged_once("does not speak the cluster protocol");
    healthy.finish();
    let grown = server.memory_peak() - idle;
    println!("random bytes: {} KB", grown >> 10);
    assert!(grown < 32 << 20, "{grown} bytes");
    server.stop();
}

#[test]
fn garbage_after_valid_requests_does_not_cost_them_their_answers() {
    let mut server = Server::start(Options::default());
    for session in 1..=20 {
        let mut peer = Peer::connect(server.address());
        // A name query is answered by the connection's own shard, so its answer is there first.
        let query = request_to_handle(0, session, &pack("echo"));
        peer.send(&[&query[..], b"\x00\x01\xff", &query[..]].concat())
            .expect("sent");
        let answer = peer.receive().expect("in time").expect("an answer");
        assert_eq!((answer.session, answer.kind), (session, 1));
        assert_eq!(peer.receive().expect("in time"), None);
    }
    server.wait_for("connections_malformed", 20);
    server.check_logged_once("does not speak the cluster protocol");
    server.stop();
}

#[test]
fn a_declared_4_gb_message_is_refused_and_takes_no_memory() {
    const PEERS: usize = 10;
    let mut server = Server::start(Options::default());
    let idle = server.memory_peak();
    let healthy = Healthy::start(&server);
    let parts: Vec<u8> = (0..32).flat_map(|_| part(1, &[7; 32_768], false)).collect();
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| Peer::connect(server.address())).collect();
    for peer in &mut peers {
        peer.send(&head("@echo", 1, u32::MAX)).expect("sent");
        for _ in 0..20 {
            peer.send(&parts).expect("sent");
        }
        peer.send(&part(1, &[7; 9], true)).expect("sent");
        let error = peer.receive().expect("in time").expect("an answer").error();
        assert!(
            error.starts_with("too-large: request of 4294967295 bytes"),
            "{error}"
        );
        // The connection is still of use.
        assert_eq!(
            peer.call("@echo", &pack("still here")).expect("an answer").kind,
            1
        );
    }
    assert_eq!(server.counter("messages_too_large"), PEERS as u64);
    // Heads without parts: as many as may be, and one more.
    for peer in &mut peers {
        let heads: Vec<u8> = (1..=20_000)
            .flat_map(|session| head("@echo", session, u32::MAX))
            .collect();
        let _ = peer.send(&heads);
        peer.wait_for_end();
    }
    server.wait_for("connections_malformed", PEERS as u64);
    server.check_logged_once("too large");
    server.check_logged_once("unfinished messages");
    healthy.finish();
    let grown = server.memory_peak() - idle;
    println!("4 GB declared: {} KB", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes");
    server.stop();
}

#[test]
fn odd_requests_are_answered_as_skynet_answers_them_and_an_empty_package_ends_the_connection() {
    let mut server = Server::start(Options::default());
    let mut peer = Peer::connect(server.address());
    let mut answer_to = |bytes: Vec<u8>| {
        peer.send(&bytes).expect("sent");
        peer.receive().expect("in time").expect("an answer").error()
    };
    assert_eq!(answer_to(request([b'n'; 255], 1, b"")), "Invalid name");
    assert_eq!(answer_to(request(b"", 2, b"")), "Invalid name");
    assert_eq!(answer_to(request(b"@\xff\xfe", 3, b"")), "Invalid name");
    assert_eq!(
        answer_to(request_to_handle(0, 4, b"\xff\xff\xff")),
        "name not found"
    );
    assert_eq!(answer_to(request_to_handle(0, 5, b"")), "name not found");
    assert_eq!(
        answer_to(request_to_handle(0, 6, &pack(&"n".repeat(30_000)))),
        "name not found"
    );
    assert!(answer_to(request_to_handle(0xffff_ffff, 7, b"")).starts_with("no-such-service"));
    // Sends are not answered, wherever they go.
    assert_eq!(server.counter("sends_dropped"), 0);
    peer.send(&request("@nobody", 0, b"")).expect("sent");
    peer.send(&request_to_handle(0xffff_ffff, 0, b"")).expect("sent");
    peer.send(&request("@echo", 0, b"")).expect("sent");
    assert_eq!(peer.call("@echo", b"").expect("an answer").kind, 1);
    server.wait_for("sends_dropped", 2);
    peer.send(b"\x00\x00").expect("sent");
    assert_eq!(peer.receive().expect("in time"), None);
    server.wait_for("connections_malformed", 1);
    server.stop();
}
