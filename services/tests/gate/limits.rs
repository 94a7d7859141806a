//! The limits of a gate hold, and what they refuse is counted.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use skyring::Payload;

use crate::support::{TIMEOUT, read_to_end, receive, send, start};

#[test]
fn clients_of_one_address_are_limited() {
    let running = start("10 clients_per_address=2");
    let mut first = running.connect();
    running.await_event("open");
    let _second = running.connect();
    running.await_event("open");
    assert_eq!(read_to_end(&mut running.connect()), 0);
    running.await_counter("refused_by_address", 1);
    send(&mut first, b"fail");
    assert_eq!(read_to_end(&mut first), 0);
    running.await_event("close");
    let mut third = running.connect();
    running.await_event("open");
    send(&mut third, b"served");
    assert_eq!(receive(&mut third), b"served");
}

#[test]
fn a_client_that_sends_its_first_packet_byte_by_byte_is_closed() {
    let running = start("10 handshake_ms=300");
    let mut slow = running.connect();
    running.await_event("open");
    slow.write_all(&[0xff, 0xff]).expect("it is taken");
    let begun = Instant::now();
    // Fails once the gate has closed the connection.
    while slow.write_all(b"x").is_ok() {
        assert!(begun.elapsed() < TIMEOUT, "it is open still");
        thread::sleep(Duration::from_millis(10));
    }
    running.await_event("close");
    assert_eq!(running.counter("timed_out"), 1);
    // One that has begun may pause.
    let mut other = running.connect();
    running.await_event("open");
    send(&mut other, b"one");
    assert_eq!(receive(&mut other), b"one");
    thread::sleep(Duration::from_millis(700));
    send(&mut other, b"two");
    assert_eq!(receive(&mut other), b"two");
}

#[test]
fn a_client_that_is_idle_for_too_long_is_closed() {
    let running = start("10 idle_ms=200");
    let mut client = running.connect();
    running.await_event("open");
    send(&mut client, b"one");
    assert_eq!(receive(&mut client), b"one");
    assert_eq!(read_to_end(&mut client), 0);
    running.await_event("close");
    assert_eq!(running.counter("timed_out"), 1);
}

#[test]
fn a_packet_beyond_the_limit_closes_the_client_that_declares_it() {
    let running = start("10 packet_bytes=1000");
    let mut client = running.connect();
    running.await_event("open");
    send(&mut client, &[7; 1_000]);
    assert_eq!(receive(&mut client).len(), 1_000);
    client.write_all(&1_001u16.to_be_bytes()).expect("it is taken");
    assert_eq!(read_to_end(&mut client), 0);
    running.await_event("close");
    assert_eq!(running.counter("malformed"), 1);
}

#[test]
fn a_client_that_sends_more_than_its_share_is_read_later_and_loses_nothing() {
    for share in ["packets_per_second=50", "bytes_per_second=300"] {
        let running = start(&format!("10 {share}"));
        let mut eager = running.connect();
        running.await_event("open");
        let begun = Instant::now();
        for number in 0..75u32 {
            send(&mut eager, &number.to_be_bytes());
        }
        for number in 0..75u32 {
            assert_eq!(receive(&mut eager), number.to_be_bytes());
        }
        // A second's share at once, and the rest in half a second.
        assert!(begun.elapsed() > Duration::from_millis(400), "{share}");
        assert!(running.counter("throttled") > 0, "{share}");
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_or_loses_packets() {
    for (policy, counter) in [("close", "slow"), ("drop", "dropped")] {
        let running = start(&format!("10 waiting_bytes=100000 when_full={policy}"));
        let mut client = running.connect();
        let id = running.await_event("open");
        let body = vec![1; 50_000];
        let write = Payload::pack(&("write", id, &body[..])).expect("it packs");
        let begun = Instant::now();
        while running.counter(counter) == 0 {
            assert!(begun.elapsed() < TIMEOUT, "{policy}");
            let _ = running.command(write.clone());
        }
        if policy == "close" {
            running.await_event("close");
        } else {
            // What was taken arrives whole, and so does what comes later.
            assert_eq!(receive(&mut client), body);
            send(&mut client, b"fail");
            while read_to_end(&mut client) > 0 {}
            running.await_event("close");
        }
    }
}

#[test]
fn the_address_behind_a_load_balancer_counts_and_a_connection_without_one_is_refused() {
    const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x01\0\0\x50";
    let running = start("10 proxies=127.0.0.0/8 clients_per_address=1 handshake_ms=300");
    let mut client = running.connect();
    let (header, rest) = HEADER.split_at(7);
    client.write_all(header).expect("it is taken");
    thread::sleep(Duration::from_millis(20));
    client
        .write_all(&[rest, b"\0\x05hello"].concat())
        .expect("it is taken");
    running.await_event("open");
    assert_eq!(receive(&mut client), b"hello");
    // Another client of the same address behind the balancer.
    let mut second = running.connect();
    second.write_all(HEADER).expect("it is taken");
    assert_eq!(read_to_end(&mut second), 0);
    running.await_counter("refused_by_address", 1);
    let mut plain = running.connect();
    send(&mut plain, b"this is no header of that kind");
    assert_eq!(read_to_end(&mut plain), 0);
    running.await_counter("malformed", 1);
    // One that sends nothing.
    assert_eq!(read_to_end(&mut running.connect()), 0);
    running.await_counter("timed_out", 1);
}
