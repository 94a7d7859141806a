//! Clients that do with TLS what they should not: each is closed and counted, and the others are served.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use skyring::Payload;

use crate::support::{Running, TIMEOUT, read_to_end, receive, send};
use crate::tls_support::{Ca, Secured, hello};

/// A client whose handshake has ended.
fn connected(ca: &Ca, running: &Running) -> Secured {
    let mut client = ca.connect(running);
    send(&mut client, b"one");
    running.await_event("open");
    assert_eq!(receive(&mut client), b"one");
    client
}

/// A client that was there all the time is served.
fn is_served(client: &mut Secured) {
    send(client, b"still here");
    assert_eq!(receive(client), b"still here");
}

#[test]
fn half_handshakes_end_in_time_and_nobody_else_notices() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10000 handshake_ms=700");
    let mut healthy = connected(&ca, &running);
    let first = hello(&ca);
    let mut closed = 0;
    for round in 0..4 {
        let silent: Vec<TcpStream> = (0..500)
            .map(|number| {
                let mut client = running.connect();
                let count = [0, 1, 5, first.len() / 2, first.len()][number % 5];
                client.write_all(&first[..count]).expect("it is taken");
                client
            })
            .collect();
        is_served(&mut healthy);
        for mut client in silent {
            // The gate's answer to a whole hello, and then the end.
            read_to_end(&mut client);
            closed += 1;
        }
        running.await_counter("tls_closed_early", 500 * (round + 1));
        running.await_counter("timed_out", 500 * (round + 1));
    }
    assert_eq!(closed, 2_000);
    is_served(&mut healthy);
    assert_eq!(
        running
            .command(Payload::pack("clients").expect("it packs"))
            .expect("it runs")
            .unpack::<i64>(),
        Ok(1)
    );
}

#[test]
fn garbage_instead_of_records_is_malformed_before_and_after_the_handshake() {
    let ca = Ca::new();
    let running = ca.start("tls://", "100");
    let mut healthy = connected(&ca, &running);
    let first = hello(&ca);
    let mut malformed = 0;
    let mut broken_hello = first.clone();
    broken_hello[5] = 0x63;
    for bytes in [
        // A record that begins as one of a handshake, and is longer than any may be.
        &[&[0x16, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat()[..],
        &broken_hello,
        // An alert and an encrypted record as the first ones.
        &[0x16, 3, 3, 0, 0, 0x16, 3, 3, 0, 0],
        // The hello twice, where the second half of the handshake belongs.
        &[&first[..], &first].concat(),
    ] {
        let mut client = running.connect();
        // It may be closed meanwhile.
        let _ = client.write_all(bytes);
        read_to_end(&mut client);
        malformed += 1;
        running.await_counter("tls_malformed", malformed);
    }
    for bytes in [
        // A hello within the open connection: a renegotiation, which TLS 1.3 does not have.
        first.clone(),
        // Records that are none, or whose cipher is wrong, and one that is too long.
        b"garbage, and more of it".to_vec(),
        [&[0x17, 3, 3, 0, 40][..], &[9; 40]].concat(),
        [&[0x17, 3, 3, 0x48, 0][..], &[9; 0x4800]].concat(),
    ] {
        let mut client = connected(&ca, &running);
        let _ = client.sock.write_all(&bytes);
        assert!(client.read(&mut [0; 10]).is_err(), "it is told why");
        running.await_event("close");
        malformed += 1;
        running.await_counter("tls_malformed", malformed);
    }
    is_served(&mut healthy);
}

#[test]
fn a_handshake_without_end_is_too_long() {
    let ca = Ca::new();
    let running = ca.start("tls://", "100");
    let mut client = running.connect();
    // A hello of 60 KiB by its own account, in records that are allowed.
    let message = [&[1, 0, 0xf0, 0][..], &[0; 60_000]].concat();
    for part in message.chunks(16_000) {
        let length = u16::try_from(part.len()).expect("short").to_be_bytes();
        let _ = client.write_all(&[&[0x16, 3, 1][..], &length, part].concat());
    }
    read_to_end(&mut client);
    running.await_counter("tls_too_long", 1);
}

#[test]
fn a_cut_in_the_middle_is_not_an_end_in_order() {
    let ca = Ca::new();
    let running = ca.start("tls://", "100");
    // Behind a whole record, and within one.
    for rest in [0, 3] {
        let mut client = connected(&ca, &running);
        let mut record = Vec::new();
        client.conn.writer().write_all(b"\0\x05hello").expect("memory");
        client.conn.write_tls(&mut record).expect("memory");
        let sent = record.len() - rest;
        client.sock.write_all(&record[..sent]).expect("it is taken");
        client.sock.shutdown(Shutdown::Write).expect("it is open");
        running.await_event("close");
    }
    running.await_counter("tls_truncated", 2);
    let mut half = running.connect();
    half.write_all(&hello(&ca)[..50]).expect("it is taken");
    half.shutdown(Shutdown::Write).expect("it is open");
    running.await_counter("tls_abandoned", 1);
}

#[test]
fn a_client_with_tls_that_does_not_read_is_closed_or_loses_packets() {
    let ca = Ca::new();
    for (when_full, counter) in [("close", "slow"), ("drop", "dropped")] {
        let settings = format!("10 waiting_bytes=100000 when_full={when_full}");
        let running = ca.start("tls://", &settings);
        let mut client = ca.connect(&running);
        send(&mut client, b"quiet");
        let id = running.await_event("open");
        let mut healthy = connected(&ca, &running);
        let body = vec![7u8; 60_000];
        let began = std::time::Instant::now();
        while running.counter(counter) == 0 {
            assert!(began.elapsed() < TIMEOUT, "{counter} is 0");
            let write = Payload::pack(&("write", id, &body[..])).expect("it packs");
            // The client may be closed meanwhile.
            let _ = running.command(write);
        }
        let waiting: u64 = {
            let info = running
                .node
                .block_on(|caller| async move { caller.sockets().info() });
            info.expect("the node runs")
                .iter()
                .map(|socket| socket.waiting)
                .sum()
        };
        assert!(waiting <= 100_000 + 60_002, "{waiting} bytes wait");
        is_served(&mut healthy);
        if when_full == "drop" {
            // What was not dropped comes, in whole packets.
            assert!(receive(&mut client) == body);
        } else {
            running.await_event("close");
        }
    }
}

#[test]
fn a_client_that_sends_byte_by_byte_is_served() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let mut client = ca.connect(&running);
    client.sock.set_nodelay(true).expect("it is open");
    let mut flight = hello_of(&mut client);
    for number in 0..2 {
        for byte in &flight {
            client
                .sock
                .write_all(std::slice::from_ref(byte))
                .expect("it is taken");
            if number == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
        if number == 0 {
            while client.conn.is_handshaking() {
                client.conn.read_tls(&mut client.sock).expect("an answer");
                client.conn.process_new_packets().expect("a right one");
            }
            client.conn.writer().write_all(b"\0\x02hi").expect("memory");
            flight = hello_of(&mut client);
        }
    }
    assert_eq!(receive(&mut client), b"hi");
}

/// What a client has to say next.
fn hello_of(client: &mut Secured) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.conn.wants_write() {
        client.conn.write_tls(&mut bytes).expect("memory");
    }
    bytes
}
