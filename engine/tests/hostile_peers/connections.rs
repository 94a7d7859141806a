//! Many connections, and silent, slow and short ones.

use std::time::{Duration, Instant};

use skyring::Node;
use skyring::limits::CONNECTION_BYTES;
use skyring::log::Destination;

use crate::healthy::Healthy;
use crate::peer::{Peer, pack, request};
use crate::server::{Options, Server, TIMEOUT};

/// Files that this process and the node's may open. A node raises the limit as far as it goes.
fn open_files_max() -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Destination::File(folder.path().join("node.log"));
    Node::builder().log_to(log).start().expect("a node").stop();
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("the limit");
    let soft = line.split_whitespace().nth(3).expect("a value");
    soft.parse().unwrap_or(usize::MAX)
}

#[test]
fn ten_thousand_connections_that_send_one_byte_cost_little_and_are_closed() {
    let files = open_files_max();
    // A node keeps a quarter of its descriptors for itself, and other tests want some here.
    let count = 10_000.min(files / 3 * 2 - 200);
    if count < 10_000 {
        println!("only {count} connections: the limit of open files is {files}");
    }
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let (idle, descriptors) = (server.memory_peak(), server.descriptors());
    let mut peers: Vec<Peer> = Vec::new();
    for number in 0..count {
        let mut peer = Peer::connect(server.address());
        peer.send(&[number as u8]).expect("sent");
        peers.push(peer);
    }
    server.wait_for("connections_accepted", count as u64 + 2);
    let grown = server.memory_peak() - idle;
    println!(
        "{count} connections: {} KB, {} bytes each",
        grown >> 10,
        grown / count
    );
    assert!(grown < count * CONNECTION_BYTES, "{grown} bytes");
    // All of them have to go, in the time for a package and some more.
    server.wait_for("connections_silent", count as u64);
    server.wait_for_descriptors(descriptors);
    peers.iter_mut().for_each(Peer::wait_for_end);
    server.check_logged_once("did not finish a package");
    assert_eq!(server.counter("connections_refused"), 0);
    assert_eq!(server.counter("connections_silent"), count as u64);
    healthy.finish();
    let grown = server.memory_peak() - idle;
    assert!(grown < count * CONNECTION_BYTES, "{grown} bytes at the end");
    server.stop();
}

#[test]
fn one_byte_after_the_other_is_no_progress() {
    let mut server = Server::start(Options::default());
    // One that never finishes its first package, and one that has finished others.
    let mut peers = [Peer::connect(server.address()), Peer::connect(server.address())];
    assert_eq!(
        peers[1]
            .call("@echo", &pack("good so far"))
            .expect("an answer")
            .kind,
        1
    );
    let bytes = request("@echo", 1, &[0; 30_000]);
    let started = Instant::now();
    for byte in bytes.chunks(1) {
        let refused = peers.iter_mut().filter_map(|peer| peer.send(byte).err()).count();
        if refused == peers.len() {
            break;
        }
        assert!(
            started.elapsed() < TIMEOUT,
            "a byte now and then keeps a connection"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    server.wait_for("connections_silent", 2);
    for peer in &mut peers {
        peer.wait_for_end();
    }
    server.check_logged_once("did not finish a package");
    server.stop();
}

#[test]
fn connections_past_the_maximum_are_turned_away_and_their_places_come_back() {
    const CLIENTS: usize = 50;
    let mut server = Server::start(Options {
        clients_max: CLIENTS,
        ..Options::default()
    });
    let mut inside: Vec<Peer> = (0..CLIENTS).map(|_| Peer::connect(server.address())).collect();
    for peer in &mut inside {
        assert_eq!(peer.call("@echo", &pack("in")).expect("an answer").kind, 1);
    }
    // Some connections are refused before the peer knows that it is connected.
    let outside: Vec<_> = (0..1_000).map(|_| Peer::try_connect(server.address())).collect();
    for mut peer in outside.into_iter().flatten() {
        peer.wait_for_end();
    }
    server.wait_for("connections_refused", 1_000);
    assert_eq!(server.counter("connections_refused"), 1_000);
    server.check_logged_once("50 clients are connected already");
    for peer in &mut inside {
        assert_eq!(peer.call("@echo", &pack("still in")).expect("an answer").kind, 1);
    }
    drop(inside);
    // Their places come back when the node has seen them go.
    let started = Instant::now();
    let call = || Peer::try_connect(server.address())?.call("@echo", &pack("in now"));
    while call().is_err() {
        assert!(started.elapsed() < TIMEOUT);
    }
    server.stop();
}

#[test]
fn a_storm_of_connections_leaves_nothing_behind() {
    let mut server = Server::start(Options::default());
    let healthy = Healthy::start(&server);
    let descriptors = server.descriptors();
    let mut memory = Vec::new();
    for round in 0..4 {
        for number in 0..2_500 {
            let mut peer = Peer::connect(server.address());
            // Some send nothing, some disconnect in the middle of a package, some before their answer.
            let sent = match number % 4 {
                0 => Ok(()),
                1 => peer.send(b"\x00"),
                2 => peer.send(&request("@echo", 1, &pack("bye"))),
                _ => peer.send(&request("@late", 1, &pack(&10u32))),
            };
            assert!(sent.is_ok(), "{round} {number}");
        }
        server.wait_for("connections_accepted", 2 + 2_500 * (round + 1));
        server.wait_for_descriptors(descriptors);
        memory.push(server.memory());
    }
    println!(
        "storms of 2,500: {:?} KB",
        memory.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>()
    );
    assert!(memory[3] < memory[0] + (4 << 20), "{memory:?}");
    assert_eq!(server.counter("connections_accepted"), 10_002);
    healthy.finish();
    server.stop();
}

#[test]
fn a_node_without_descriptors_waits_for_some_and_goes_on() {
    // Two listeners may have three quarters of the descriptors each, which is more than there are.
    let mut server = Server::start(Options {
        listeners: 2,
        open_files_max: Some(120),
        ..Options::default()
    });
    let healthy = Healthy::start(&server);
    let mut peers: Vec<Peer> = Vec::new();
    for _ in 0..85 {
        for &address in server.addresses() {
            // Those that are not accepted wait in the kernel's queue.
            peers.push(Peer::connect(address));
        }
    }
    server.wait_for("connections_refused", 3);
    let (before, started) = (server.processor_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let (used, passed) = (server.processor_time() - before, started.elapsed());
    assert!(used < passed / 2, "{used:?} of {passed:?}: it spins");
    server.check_logged_once("a connection is turned away");
    drop(peers);
    healthy.finish();
    server.stop();
}
