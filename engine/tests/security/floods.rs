//! Handshakes that are begun and never finished.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use skyring::Security;
use skyring::limits::{CONNECTIONS_UNPROVED_MAX, UNPROVED_PER_SECOND_MAX, UNPROVED_PER_SOURCE_MAX};

use crate::node::{TIMEOUT, wait_until};
use crate::start::builder;
use crate::support::{SECRET, Stranger, ask, closed, connect_from, counter, dialling, serving, wait_for};

/// Handshakes of the flood.
const HANDSHAKES: usize = 10_000;

/// Connections that the flood keeps open.
const OPEN_MAX: usize = 1_500;

/// The addresses that the flood comes from. One alone would have its connections refused before many wait.
const SOURCES: usize = 8;

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
                let Some(mut stream) = connect_from((number % SOURCES) as u8 + 2, target) else {
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
    // Each address has a number of handshakes that it may leave unfinished.
    assert!(counter(&db, "connections_unproved_refused") > 0);
    gate.stop();
    db.stop();
}

#[test]
fn an_address_that_finishes_no_handshake_is_refused_for_a_while_and_others_are_not() {
    let (db, address) = serving(closed(1).accepts_per_second_max(1_000_000));
    let gate = dialling(closed(1), &address);
    assert_eq!(ask(&gate), Ok("db".to_owned()));
    let target: SocketAddr = address.parse().expect("an address");
    let most = u64::from(UNPROVED_PER_SOURCE_MAX);
    let surplus = 200;
    for _ in 0..most + surplus {
        // It ends at once, and is remembered nevertheless.
        drop(connect_from(2, target));
    }
    let refused = || counter(&db, "connections_unproved_refused");
    let accepted = || counter(&db, "connections_accepted");
    wait_until("all were admitted or refused", || {
        accepted() + refused() > most + surplus
    });
    assert!(refused() > 0, "{} were accepted", accepted());
    // Nodes elsewhere connect, and are served.
    let late = dialling(closed(1), &address);
    assert_eq!(ask(&late), Ok("db".to_owned()));
    late.stop();
    // After a while the address is admitted again.
    thread::sleep(Duration::from_millis(
        2 * 1_000 / u64::from(UNPROVED_PER_SECOND_MAX),
    ));
    let before = accepted();
    let mut again = connect_from(2, target).expect("it listens");
    wait_for(&db, "connections_accepted", before + 1);
    // It is asked for a proof like any other, and not just closed.
    again.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
    again
        .write_all(&Stranger::connect(&address, Some(SECRET)).output())
        .expect("it takes bytes");
    assert_ne!(again.read(&mut [0; 100]).expect("an answer to the hello"), 0);
    assert_eq!(counter(&gate, "connections_lost"), 0);
    gate.stop();
    db.stop();
}

#[test]
fn connections_to_a_node_that_asks_for_no_proof_are_not_counted_as_unproved() {
    let rules = Security::default().allow("echo", &["gate"]).expect("a rule");
    let (db, address) = serving(
        builder(1)
            .security(rules)
            .name("db")
            .accepts_per_second_max(1_000_000),
    );
    let target: SocketAddr = address.parse().expect("an address");
    let connections = 2 * u64::from(UNPROVED_PER_SOURCE_MAX);
    for _ in 0..connections {
        drop(connect_from(2, target));
    }
    wait_for(&db, "connections_accepted", connections);
    assert_eq!(counter(&db, "connections_unproved_refused"), 0);
    db.stop();
}

#[test]
fn a_node_whose_handshakes_are_finished_connects_as_often_as_it_wants() {
    let (db, address) = serving(closed(1).accepts_per_second_max(1_000_000));
    let most = u64::from(UNPROVED_PER_SOURCE_MAX + 10 * UNPROVED_PER_SECOND_MAX);
    for number in 0..most + 50 {
        let gate = dialling(closed(1), &address);
        assert_eq!(ask(&gate), Ok("db".to_owned()), "connection {number}");
        gate.stop();
    }
    assert_eq!(counter(&db, "connections_unproved_refused"), 0);
    db.stop();
}
