//! Neither a peer that does not read nor an owner that is busy makes memory grow.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use skyring::limits::{READ_AHEAD_BYTES_MAX, SOCKET_OUT_BYTES_MAX, WARNING_BYTES};
use skyring::{SocketId, SocketNews, Sockets};

use crate::node::{TIMEOUT, wait_until};
use crate::plug::Plug;
use crate::start::start;

/// The largest single read.
const READ_BYTES_MAX: u64 = 256 << 10;

fn read_of(sockets: &Sockets, socket: SocketId) -> u64 {
    let info = sockets.info();
    info.iter()
        .find(|info| info.socket == socket)
        .map_or(0, |info| info.read)
}

#[test]
fn a_peer_that_does_not_read_is_warned_of_and_cut_at_the_bound() {
    let node = start(2);
    let plug = Plug::new(&node);
    let (deaf, socket) = plug.connected();
    let (mut healthy, other) = plug.connected();
    // The same megabyte repeatedly: the bound is on the bytes that the engine counts.
    let (taken, refused) = plug.command(move |sockets| {
        let megabyte = Bytes::from(vec![1; 1 << 20]);
        let mut taken = 0;
        loop {
            match sockets.write(socket, megabyte.clone()) {
                Ok(()) => taken += megabyte.len(),
                Err(error) => return (taken, error.to_string()),
            }
            assert!(taken <= 4 * SOCKET_OUT_BYTES_MAX, "there is a bound");
        }
    });
    assert!(taken >= SOCKET_OUT_BYTES_MAX / 2, "{taken}");
    assert!(refused.starts_with("overloaded"), "{refused}");
    let mut warned = Vec::new();
    let cause = loop {
        match plug.next_of(socket) {
            SocketNews::Warning { waiting } => warned.push(waiting),
            SocketNews::Failed { cause } => break cause,
            news => panic!("{news:?}"),
        }
    };
    assert!(warned.len() >= 6 && warned[0] >= WARNING_BYTES, "{warned:?}");
    assert!(cause.contains("does not read"), "{cause}");
    assert_eq!(node.metrics().sockets_overflowed.get(), 1);
    plug.write(other, b"well".to_vec());
    let mut read = [0; 4];
    healthy.read_exact(&mut read).expect("others are served");
    drop(deaf);
}

#[test]
fn a_warning_ends_when_all_is_written() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    plug.write(socket, vec![0; 24 << 20]);
    assert!(matches!(plug.next_of(socket), SocketNews::Warning { waiting } if waiting >= WARNING_BYTES));
    let mut read = vec![0; 24 << 20];
    peer.read_exact(&mut read).expect("all is written");
    assert!(matches!(plug.next_of(socket), SocketNews::Warning { waiting: 0 }));
}

#[test]
fn a_paused_socket_is_not_read_and_loses_nothing() {
    let node = start(2);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    peer.write_all(b"before").expect("it is taken");
    assert_eq!(plug.read(socket, 6), b"before");
    plug.command(move |sockets| sockets.pause(socket))
        .expect("it is asked");
    peer.write_all(b"after").expect("the kernel takes it");
    assert!(plug.events.recv_timeout(Duration::from_millis(100)).is_err());
    plug.start(socket);
    assert_eq!(plug.read(socket, 5), b"after");
}

#[test]
fn a_busy_owner_stops_the_reading() {
    let node = start(3);
    let gate = Plug::new(&node);
    let (listener, address) = gate.listen();
    // An owner on another shard than the socket, so that the socket's shard could continue to read.
    let agent = loop {
        let agent = Plug::new(&node);
        let shard = |handle| skyring::placement::shard_of_handle(handle, 3);
        if shard(agent.handle) != shard(gate.handle) {
            break agent;
        }
    };
    let peer = std::net::TcpStream::connect(address).expect("it listens");
    let socket = gate.accepted(listener);
    agent.start(socket);
    peer.set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a time");
    let sent = agent.command({
        let mut peer = peer.try_clone().expect("a descriptor");
        move |sockets| {
            // The handler does not return, so no event of the socket is handled meanwhile.
            let mut sent = 0;
            let chunk = vec![9; 1 << 20];
            let started = Instant::now();
            while started.elapsed() < TIMEOUT {
                match peer.write(&chunk) {
                    Ok(count) => sent += count as u64,
                    Err(_) => break,
                }
            }
            let read = read_of(sockets, socket);
            assert!(
                read <= READ_AHEAD_BYTES_MAX as u64 + READ_BYTES_MAX,
                "{read} bytes were read for an owner that handled none"
            );
            sent
        }
    });
    assert_eq!(agent.read(socket, sent as usize).len() as u64, sent);
}

#[test]
fn many_small_events_wait_as_few_large_ones_do() {
    let node = start(1);
    let plug = Plug::new(&node);
    let (mut peer, socket) = plug.connected();
    peer.set_nodelay(true).expect("an option");
    for _ in 0..5_000 {
        peer.write_all(b"x").expect("it is taken");
    }
    assert_eq!(plug.read(socket, 5_000).len(), 5_000);
    wait_until("all of it is handled", || {
        peer.write_all(b"y").is_ok() && plug.read(socket, 1) == b"y"
    });
}
