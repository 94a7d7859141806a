//! Clients with TLS are served as others are.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use skyring::Payload;
use tungstenite::Message;

use crate::support::{read_to_end, receive, send, start, start_websocket};
use crate::tls_support::{Ca, NAME, hello, secured};

#[test]
fn packets_within_tls_are_answered_and_both_ends_say_goodbye() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let mut client = ca.connect(&running);
    send(&mut client, b"one");
    let id = running.await_event("open");
    assert_eq!(receive(&mut client), b"one");
    let long = vec![7; 60_000];
    send(&mut client, &long);
    assert!(receive(&mut client) == long);
    running
        .command(Payload::pack(&("write", id, "pushed")).expect("it packs"))
        .expect("it is a client");
    assert_eq!(receive(&mut client), b"pushed");
    running
        .command(Payload::pack(&("kick", id)).expect("it packs"))
        .expect("it is a client");
    running.await_event("close");
    // Without close_notify this would be an error.
    assert_eq!(client.read(&mut [0; 10]).expect("the end, in order"), 0);
    let mut client = ca.connect(&running);
    send(&mut client, b"two");
    running.await_event("open");
    assert_eq!(receive(&mut client), b"two");
    client.conn.send_close_notify();
    client.flush().expect("it is taken");
    running.await_event("close");
    assert_eq!(client.read(&mut [0; 10]).expect("the end, in order"), 0);
    assert_eq!(running.counter("tls_handshakes"), 2);
    assert_eq!(running.counter("tls_truncated"), 0);
    assert_eq!(running.counter("accepted"), 2);
}

#[test]
fn a_client_that_says_goodbye_behind_its_packets_gets_all_answers() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let mut client = ca.connect(&running);
    for number in 0..200u32 {
        send(&mut client, &number.to_le_bytes());
    }
    client.conn.send_close_notify();
    client.flush().expect("it is taken");
    for number in 0..200u32 {
        assert_eq!(receive(&mut client), number.to_le_bytes());
    }
    assert_eq!(client.read(&mut [0; 10]).expect("the end, in order"), 0);
}

#[test]
fn websockets_within_tls_are_answered() {
    let ca = Ca::new();
    let running = ca.start("wss://", "10");
    let url = format!("wss://{NAME}:{}/game", running.port);
    let (mut socket, response) = tungstenite::client(url, ca.connect(&running)).expect("a handshake");
    assert_eq!(response.status(), 101);
    running.await_event("open");
    for message in [Message::text("grüße"), Message::binary(vec![9; 60_000])] {
        socket.send(message.clone()).expect("it is open");
        assert_eq!(socket.read().expect("an answer"), message);
    }
    socket.close(None).expect("it is open");
    while socket.read().is_ok() {}
    running.await_event("close");
    assert_eq!(running.counter("malformed"), 0);
}

#[test]
fn the_target_hears_of_a_client_when_its_handshake_has_ended() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let mut half = running.connect();
    half.write_all(&hello(&ca)).expect("it is taken");
    // It is a client of the gate, and gets nothing of what all get.
    let mut whole = ca.connect(&running);
    send(&mut whole, b"one");
    running.await_event("open");
    assert_eq!(receive(&mut whole), b"one");
    let pushed = running.command(Payload::pack(&("push_all", "all")).expect("it packs"));
    pushed.expect("the gate runs");
    assert_eq!(receive(&mut whole), b"all");
    drop(half);
    running.await_counter("tls_abandoned", 1);
    drop(whole);
    running.await_event("close");
}

#[test]
fn a_second_connection_resumes_the_handshake_of_the_first() {
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let config = ca.client(None);
    for count in 0..3 {
        let mut client = secured(config.clone(), running.port, NAME);
        send(&mut client, b"again");
        assert_eq!(receive(&mut client), b"again");
        running.await_counter("tls_resumptions", count);
    }
    assert_eq!(running.counter("tls_handshakes"), 1);
}

#[test]
fn the_header_of_a_load_balancer_comes_before_tls() {
    const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x01\0\0\x50";
    let ca = Ca::new();
    let running = ca.start("tls://", "10 proxies=127.0.0.0/8 clients_per_address=1");
    for piece in [1, 20, HEADER.len()] {
        let mut client = ca.connect(&running);
        for piece in HEADER.chunks(piece) {
            client.sock.write_all(piece).expect("it is taken");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        send(&mut client, b"behind");
        running.await_event("open");
        assert_eq!(receive(&mut client), b"behind");
        // Another client of the same address behind the balancer.
        let mut second = running.connect();
        second.write_all(HEADER).expect("it is taken");
        assert_eq!(read_to_end(&mut second), 0);
        drop(client);
        running.await_event("close");
    }
    running.await_counter("refused_by_address", 3);
    // The header and the hello at once.
    let mut client = ca.connect(&running);
    let mut first = HEADER.to_vec();
    client.conn.write_tls(&mut first).expect("memory");
    client.sock.write_all(&first).expect("it is taken");
    send(&mut client, b"at once");
    assert_eq!(receive(&mut client), b"at once");
    // One without the header.
    let mut without = running.connect();
    without.write_all(&hello(&ca)).expect("it is taken");
    assert_eq!(read_to_end(&mut without), 0);
    running.await_counter("malformed", 1);
}

#[test]
fn a_client_without_tls_and_one_with_it_at_the_other_port_are_closed_and_counted() {
    let ca = Ca::new();
    for (scheme, first) in [
        ("tls://", &b"\0\x05hello"[..]),
        ("wss://", b"GET /game HTTP/1.1\r\n"),
    ] {
        let running = ca.start(scheme, "10");
        let mut plain = running.connect();
        plain.write_all(first).expect("it is taken");
        assert_eq!(read_to_end(&mut plain), 0);
        running.await_counter("tls_missing", 1);
    }
    for running in [start("10"), start_websocket("10")] {
        let mut secured = ca.connect(&running);
        assert!(secured.write_all(b"\0\x05hello").is_err());
        running.await_counter("tls_unexpected", 1);
        assert_eq!(running.counter("malformed"), 0);
    }
}

#[test]
fn a_packet_that_looks_like_tls_is_one_behind_the_first() {
    let ca = Ca::new();
    let running = start("10");
    let mut client = running.connect();
    send(&mut client, b"first");
    assert_eq!(receive(&mut client), b"first");
    let mut like = hello(&ca);
    // The first two bytes are its length.
    like.resize(2 + 0x1603, 7);
    let (begin, end) = like.split_at(300);
    client.write_all(begin).expect("it is taken");
    std::thread::sleep(std::time::Duration::from_millis(50));
    client.write_all(end).expect("it is taken");
    assert!(receive(&mut client) == like[2..]);
}

#[test]
fn openssl_is_served_with_tls_1_3_and_told_that_it_is_needed() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl");
        return;
    }
    let ca = Ca::new();
    let running = ca.start("tls://", "10");
    let openssl = |arguments: &[&str]| {
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-no_ign_eof",
                "-verify_return_error",
                "-servername",
                NAME,
            ])
            .args([
                "-verify_hostname",
                NAME,
                "-connect",
                &format!("127.0.0.1:{}", running.port),
            ])
            .arg("-CAfile")
            .arg(ca.file("ca.pem"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("it is piped");
        // It may have ended.
        let _ = input.write_all(b"\0\x0bhello there");
        let mut answer = Vec::new();
        let mut output = child.stdout.take().expect("it is piped");
        let _ = output.by_ref().take(13).read_to_end(&mut answer);
        drop(input);
        let ended = child.wait_with_output().expect("it ends");
        (answer, String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (answer, said) = openssl(&[]);
    assert_eq!(answer, b"\0\x0bhello there", "{said}");
    running.await_counter("tls_handshakes", 1);
    let (answer, said) = openssl(&["-tls1_2"]);
    assert!(answer.is_empty());
    assert!(said.contains("protocol version"), "{said}");
    running.await_counter("tls_incompatible", 1);
}
