//! Clients over websockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use skyring::{SpanEnd, WantedSpans};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Error, Message, WebSocket};

use crate::support::{Running, TIMEOUT, read_to_end, start_websocket};

fn connect(running: &Running) -> WebSocket<TcpStream> {
    let url = format!("ws://127.0.0.1:{}/game", running.port);
    let (socket, response) = tungstenite::client(&url, running.connect()).expect("the gate shakes hands");
    assert_eq!(response.status(), 101);
    socket
}

/// Reads until the gate closes the websocket, and returns the code that it gives.
fn close_code(socket: &mut WebSocket<TcpStream>) -> Option<CloseCode> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(error) => panic!("closed without a code: {error}"),
        }
    }
}

#[test]
fn messages_are_answered_in_their_own_kind() {
    let running = start_websocket("10");
    let mut socket = connect(&running);
    let id = running.await_event("open");
    socket
        .send(Message::binary(&b"\xff\x00"[..]))
        .expect("it is open");
    assert_eq!(
        socket.read().expect("an answer"),
        Message::binary(&b"\xff\x00"[..])
    );
    socket.send(Message::text("grüße")).expect("it is open");
    assert_eq!(socket.read().expect("an answer"), Message::text("grüße"));
    let large = vec![9; 60_000];
    socket.send(Message::binary(large.clone())).expect("it is open");
    assert_eq!(socket.read().expect("an answer"), Message::binary(large));
    socket
        .send(Message::Ping("are you there".into()))
        .expect("it is open");
    assert_eq!(
        socket.read().expect("a pong"),
        Message::Pong("are you there".into())
    );
    socket.close(None).expect("it is open");
    assert!(matches!(socket.read(), Ok(Message::Close(None))));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(running.await_event("close"), id);
    assert_eq!(running.counter("malformed"), 0);
}

#[test]
fn a_fragmented_message_with_a_ping_in_its_middle_is_one_packet() {
    let running = start_websocket("10");
    let mut socket = connect(&running);
    let part =
        |text: &'static str, kind, is_last| Message::Frame(Frame::message(text, OpCode::Data(kind), is_last));
    for message in [
        part("one ", Data::Text, false),
        Message::Ping("x".into()),
        part("two ", Data::Continue, false),
        part("three", Data::Continue, true),
    ] {
        socket.send(message).expect("it is open");
    }
    assert_eq!(socket.read().expect("a pong"), Message::Pong("x".into()));
    assert_eq!(socket.read().expect("an answer"), Message::text("one two three"));
}

#[test]
fn what_the_protocol_does_not_allow_closes_the_client_with_the_right_code() {
    let running = start_websocket("100 packet_bytes=1000");
    // Frames as they stand on the wire, and the code that answers them.
    let cases: [(&str, &[u8], CloseCode); 8] = [
        ("not masked", b"\x82\x02hi", CloseCode::Protocol),
        ("a reserved bit", b"\xc2\x80\0\0\0\0", CloseCode::Protocol),
        ("a reserved kind", b"\x83\x80\0\0\0\0", CloseCode::Protocol),
        ("a fragmented ping", b"\x09\x80\0\0\0\0", CloseCode::Protocol),
        ("a long ping", b"\x89\xfe\0\x7e\0\0\0\0", CloseCode::Protocol),
        (
            "a continuation of nothing",
            b"\x80\x80\0\0\0\0",
            CloseCode::Protocol,
        ),
        ("a text that is none", b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),
        ("too long", b"\x82\xfe\x03\xe9\0\0\0\0", CloseCode::Size),
    ];
    for (number, (name, bytes, code)) in cases.into_iter().enumerate() {
        let mut socket = connect(&running);
        let id = running.await_event("open");
        socket.get_mut().write_all(bytes).expect("it is open");
        if name == "a long ping" {
            socket.get_mut().write_all(&[0; 126]).expect("it is open");
        }
        assert_eq!(close_code(&mut socket), Some(code), "{name}");
        assert_eq!(running.await_event("close"), id, "{name}");
        running.await_counter("malformed", number as i64 + 1);
    }
    // The others go on.
    let mut socket = connect(&running);
    socket.send(Message::text("served")).expect("it is open");
    assert_eq!(socket.read().expect("an answer"), Message::text("served"));
}

#[test]
fn pongs_for_a_client_that_does_not_read_are_bounded_as_packets_are() {
    let running = start_websocket("10 waiting_bytes=100000");
    let mut socket = connect(&running);
    let id = running.await_event("open");
    let stream = socket.get_mut();
    stream.set_write_timeout(Some(TIMEOUT)).expect("a time");
    // A mask of zeros leaves the bytes as they are.
    let pings = [&b"\x89\xfd\0\0\0\0"[..], &[7; 125]].concat().repeat(1_000);
    let begun = Instant::now();
    // The gate closes the connection, and then no write succeeds.
    while stream.write_all(&pings).is_ok() {
        assert!(begun.elapsed() < TIMEOUT, "the gate takes pings without end");
    }
    assert_eq!(running.await_event("close"), id);
    assert_eq!(running.counter("slow"), 1);
}

#[test]
fn a_request_that_opens_no_websocket_is_refused_with_a_status() {
    let running = start_websocket("10");
    let upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    for (request, status) in [
        ("GET /other HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "404"),
        ("GET /game HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("POST /game HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("\0\x05hello\r\n\r\n".to_owned(), "400"),
        (format!("GET /game HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n"), "426"),
        (format!("GET /game HTTP/1.1\r\nX: {}", "x".repeat(10_000)), "431"),
    ] {
        let mut client = running.connect();
        client.write_all(request.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        client.set_read_timeout(Some(TIMEOUT)).expect("a time");
        let _ = client.read_to_string(&mut answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {answer:?}"
        );
    }
    running.await_counter("malformed", 6);
    assert!(running.events.try_recv().is_err(), "the target hears of none");
    // One that does not finish its request in time.
    let running = start_websocket("10 handshake_ms=200");
    let mut client = running.connect();
    client.write_all(b"GET /game HTTP/1.1\r\n").expect("it is taken");
    assert_eq!(read_to_end(&mut client), 0);
    running.await_counter("timed_out", 1);
}

#[test]
fn the_begin_of_a_client_belongs_to_the_trace_of_its_request_where_that_is_trusted() {
    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    for (settings, headers, spans_expected) in [
        ("10 traceparent=trust", &[HEADER][..], 2),
        ("10 traceparent=trust", &["00-4bf92f35", "none"], 0),
        ("10 traceparent=trust", &[HEADER, HEADER], 0),
        ("10", &[HEADER], 0),
    ] {
        let running = start_websocket(settings);
        let url = format!("ws://127.0.0.1:{}/game", running.port);
        let mut request = url.into_client_request().expect("a request");
        for header in headers {
            let header = header.parse().expect("a value");
            request.headers_mut().append("traceparent", header);
        }
        let opened = tungstenite::client(request, running.connect());
        let (mut socket, _) = opened.expect("a handshake");
        running.await_event("open");
        // A packet of its own is no part of the request.
        socket.send(Message::text("hello")).expect("it is open");
        assert_eq!(socket.read().expect("an answer"), Message::text("hello"));
        let spans = running
            .node
            .block_on(|caller| async move { caller.spans(WantedSpans::Trace(TRACE)) });
        let spans = spans.expect("the node runs");
        assert_eq!(spans.len(), spans_expected, "{settings} {headers:?} {spans:#?}");
        if let [request, open] = spans.as_slice() {
            assert_eq!(
                (request.parent, &*request.method),
                (0x00f0_67aa_0ba9_02b7, "GET /game")
            );
            assert_eq!(
                (open.parent, &*open.method, open.end),
                (request.id, "open", SpanEnd::Callee)
            );
        }
    }
}
