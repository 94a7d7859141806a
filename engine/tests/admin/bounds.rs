//! Clients that send nothing, too much, or nonsense.

use std::io::{Read as _, Write as _};

use crate::http::{builder, connect, get, read};
use crate::node::wait_until;

/// As many as the server has at a time.
const CONNECTIONS_MAX: usize = 64;

#[test]
fn more_connections_than_there_may_be_are_closed_and_others_are_served_when_some_end() {
    let (builder, address) = builder(1, None);
    let _node = builder.start().expect("a node");
    let mut silent: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(address)).collect();
    let mut one_more = connect(address);
    let mut bytes = Vec::new();
    // It is closed without an answer, with or without a reset.
    let _ = one_more.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    silent.truncate(CONNECTIONS_MAX / 2);
    wait_until("there is room again", || {
        let mut stream = connect(address);
        let _ = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200")
    });
}

#[test]
fn a_client_that_sends_no_request_is_disconnected() {
    let (builder, address) = builder(1, None);
    let _node = builder.start().expect("a node");
    let mut slow = connect(address);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127")
        .expect("it reads");
    let mut bytes = Vec::new();
    let _ = slow.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn nonsense_and_heads_that_are_too_long_are_refused_and_the_server_goes_on() {
    let (builder, address) = builder(1, None);
    let _node = builder.start().expect("a node");
    let long = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n",
        "x".repeat(20 << 10)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    for wrong in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &long,
        &many,
    ] {
        let mut stream = connect(address);
        let _ = stream.write_all(wrong.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{:?}", &wrong[..10]);
    }
    let mut with_body = connect(address);
    with_body
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n\r\nx")
        .expect("it reads");
    assert_eq!(read(&mut with_body).status, 200);
    assert_eq!(get(address, "/healthz").status, 200);
}
