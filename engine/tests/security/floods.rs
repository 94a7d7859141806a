//! Handshakes that are begun and never finished.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use skyring::limits::CONNECTIONS_UNPROVED_MAX;
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::{SECRET, Stranger, ask, closed, counter, dialling, serving};

/// Handshakes of the flood.
const HANDSHAKES: usize = 10_000;

/// Connections that the flood keeps open.
const OPEN_MAX: usize = 1_500;

/// Connects from another address of this machine than the nodes do.
fn connect_from_elsewhere(address: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    let elsewhere: SocketAddr = ([127, 0, 0, 2], 0).into();
    socket.bind(&elsewhere.into()).ok()?;
    socket.connect(&address.into()).ok()?;
    Some(socket.into())
}

#[test]
fn ten_thousand_half_finished_handshakes_disturb_nobody_and_are_bounded() {
    let shards = 2;
    let (db, address) = serving(closed(shards).accepts_per_second_max(1_000_000));
    let gate = dialling(closed(1), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let hello = Stranger::connect(&address, Some(SECRET)).output();
    let target: SocketAddr = address.parse().expect("an address");
    let (is_over, begun) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut open = std::collections::VecDeque::new();
            for number in 0..HANDSHAKES {
                let Some(mut stream) = connect_from_elsewhere(target) else {
                    continue;
                };
                // Nothing, a part of a hello, or a whole one that is a replay.
                let bytes = [&[][..], &hello[..50], &hello[..]][number % 3];
                if stream.write_all(bytes).is_ok() {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
                open.push_back(stream);
                if open.len() > OPEN_MAX {
                    open.pop_front();
                }
            }
            is_over.store(true, Ordering::Release);
        });
        let mut calls = 0;
        while !is_over.load(Ordering::Acquire) {
            assert_eq!(ask(&gate), Ok("db".to_owned()), "after {calls} calls");
            calls += 1;
            if calls % 200 == 0 {
                // A node that connects now is served too.
                let late = dialling(closed(1), &address);
                assert_eq!(ask(&late), Ok("db".to_owned()), "a new node, after {calls} calls");
                late.stop();
            }
        }
        assert!(calls > 0);
    });
    let begun = begun.load(Ordering::Relaxed);
    assert!(begun > HANDSHAKES as u64 / 2, "{begun}");
    assert_eq!(counter(&gate, "connections_lost"), 0);
    // More than those that may wait were open at a time.
    let crowded = counter(&db, "connections_unproved_crowded");
    assert!(crowded > 0, "{crowded}");
    assert!(OPEN_MAX > shards * CONNECTIONS_UNPROVED_MAX);
    gate.stop();
    db.stop();
}
