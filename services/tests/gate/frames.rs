//! What clients of websockets may not send, and what they may, however odd, after the cases of Autobahn's test suite.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Running, start_websocket};

/// A frame of a client as it stands on the wire, masked. `first` has the bits and the kind.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        middle @ ..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The last frame of a message.
const LAST: u8 = 0x80;

/// A close with a code and a reason.
fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(LAST | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A client after its handshake.
fn connect(running: &Running) -> TcpStream {
    let mut client = running.connect();
    client
        .write_all(
            b"GET /game HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .expect("it is taken");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    client
}

/// The next frame of the gate: its first byte and its payload; `None` at the end.
fn read(client: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut front = [0; 2];
    client.read_exact(&mut front).ok()?;
    assert_eq!(front[1] & 0x80, 0, "a server has no mask");
    let length = match front[1] {
        126 => {
            let mut length = [0; 2];
            client.read_exact(&mut length).ok()?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => panic!("a frame that is too long for these tests"),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    client.read_exact(&mut payload).ok()?;
    Some((front[0], payload))
}

/// The code of the close that comes next, after answers to what was sent before.
fn close_code(client: &mut TcpStream, name: &str) -> u16 {
    loop {
        match read(client) {
            Some((first, payload)) if first == LAST | CLOSE => {
                let code = payload
                    .first_chunk()
                    .unwrap_or_else(|| panic!("{name}: a close without a code"));
                return u16::from_be_bytes(*code);
            }
            Some(_) => {}
            None => panic!("{name}: closed without a close"),
        }
    }
}

/// All that may not be sent: what it is, its bytes, and the code of the close that answers it.
fn forbidden() -> Vec<(String, Vec<u8>, u16)> {
    const PROTOCOL: u16 = 1002;
    const INVALID: u16 = 1007;
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, code| cases.push((name.to_owned(), bytes, code));
    for bits in 1..8u8 {
        for kind in [TEXT, BINARY, CLOSE, PING] {
            add(
                &format!("reserved bits {bits} with kind {kind}"),
                frame(LAST | bits << 4 | kind, b""),
                PROTOCOL,
            );
        }
    }
    for kind in (3..=7).chain(11..=15) {
        add(
            &format!("the reserved kind {kind}"),
            frame(LAST | kind, b""),
            PROTOCOL,
        );
        add(
            &format!("the reserved kind {kind} with bytes"),
            frame(LAST | kind, b"bytes"),
            PROTOCOL,
        );
    }
    for kind in [CLOSE, PING, PONG] {
        add(
            &format!("kind {kind} of 126 bytes"),
            frame(LAST | kind, &[b'x'; 126]),
            PROTOCOL,
        );
        add(
            &format!("kind {kind} of 500 bytes"),
            frame(LAST | kind, &[b'x'; 500]),
            PROTOCOL,
        );
        add(&format!("kind {kind} in fragments"), frame(kind, b""), PROTOCOL);
    }
    add(
        "a continuation of nothing",
        frame(LAST | CONTINUATION, b"x"),
        PROTOCOL,
    );
    add(
        "a continuation of nothing, not the last",
        frame(CONTINUATION, b"x"),
        PROTOCOL,
    );
    let after_end = [
        frame(TEXT, b"a"),
        frame(LAST | CONTINUATION, b"b"),
        frame(LAST | CONTINUATION, b"c"),
    ];
    add("a continuation after the last", after_end.concat(), PROTOCOL);
    for kind in [TEXT, BINARY] {
        let within = [frame(TEXT, b"a"), frame(LAST | kind, b"b")].concat();
        add(&format!("kind {kind} within a message"), within, PROTOCOL);
    }
    for payload in [&b""[..], b"bytes"] {
        let mut bytes = vec![LAST | BINARY, payload.len() as u8];
        bytes.extend_from_slice(payload);
        add(
            &format!("{} bytes without a mask", payload.len()),
            bytes,
            PROTOCOL,
        );
    }
    let texts: [(&str, &[u8]); 9] = [
        ("a byte that starts nothing", b"\xff"),
        ("a continuation byte alone", b"\x80"),
        ("a character that is cut", b"\xce\xba\xe1\xbd"),
        ("an overlong /", b"\xc0\xaf"),
        ("an overlong zero", b"\xe0\x80\x80"),
        ("half of a surrogate pair", b"\xed\xa0\x80"),
        ("a pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
        ("past the last character", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
    ];
    for (name, text) in texts {
        add(&format!("text: {name}"), frame(LAST | TEXT, text), INVALID);
        let fragments = [frame(TEXT, "κόσμε".as_bytes()), frame(LAST | CONTINUATION, text)];
        add(&format!("text in fragments: {name}"), fragments.concat(), INVALID);
        add(
            &format!("the reason of a close: {name}"),
            close(1000, text),
            INVALID,
        );
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        add(
            &format!("a close with code {code}"),
            close(code, b"bye"),
            PROTOCOL,
        );
    }
    add("a close with half a code", frame(LAST | CLOSE, b"x"), PROTOCOL);
    add(
        "a message past the limit",
        frame(LAST | BINARY, &[0; 1_001]),
        1009,
    );
    let fragments = [frame(BINARY, &[0; 600]), frame(LAST | CONTINUATION, &[0; 600])];
    add("a message past the limit in fragments", fragments.concat(), 1009);
    cases
}

#[test]
fn every_frame_that_the_protocol_does_not_allow_is_answered_with_its_code_and_counted() {
    let running = start_websocket("100 packet_bytes=1000");
    let cases = forbidden();
    for (number, (name, bytes, code)) in cases.iter().enumerate() {
        let mut client = connect(&running);
        client.write_all(bytes).expect("it is taken");
        assert_eq!(close_code(&mut client, name), *code, "{name}");
        assert_eq!(read(&mut client), None, "{name}: nothing follows");
        running.await_counter("malformed", number as i64 + 1);
    }
    assert!(cases.len() > 90, "{}", cases.len());
    // The others are served.
    let mut client = connect(&running);
    client
        .write_all(&frame(LAST | TEXT, b"served"))
        .expect("it is taken");
    assert_eq!(read(&mut client), Some((LAST | TEXT, b"served".to_vec())));
}

#[test]
fn what_the_protocol_allows_is_served_however_it_comes() {
    let running = start_websocket("100 packet_bytes=1000");
    let text = "κόσμε 𝄞".as_bytes();
    let empty: &[u8] = b"";
    // In pieces of one byte as well: characters and headers are cut anywhere.
    for step in [1, 3, usize::MAX] {
        let mut client = connect(&running);
        let stream = [
            frame(LAST | PONG, b"nobody asked"),
            frame(TEXT, &text[..3]),
            frame(LAST | PING, &[7; 125]),
            frame(CONTINUATION, empty),
            frame(LAST | CONTINUATION, &text[3..]),
            frame(LAST | BINARY, empty),
            frame(LAST | BINARY, &[0xff; 1_000]),
        ];
        for piece in stream.concat().chunks(step) {
            client.write_all(piece).expect("it is taken");
        }
        assert_eq!(read(&mut client), Some((LAST | PONG, vec![7; 125])));
        assert_eq!(read(&mut client), Some((LAST | TEXT, text.to_vec())));
        assert_eq!(read(&mut client), Some((LAST | BINARY, empty.to_vec())));
        assert_eq!(read(&mut client), Some((LAST | BINARY, vec![0xff; 1_000])));
        // What comes before a close is not answered after it.
        client
            .write_all(&close(4_999, "tschüss".as_bytes()))
            .expect("it is taken");
        assert_eq!(close_code(&mut client, "a close in order"), 4_999);
        assert_eq!(read(&mut client), None);
    }
    for code in [1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000] {
        let mut client = connect(&running);
        client.write_all(&close(code, b"")).expect("it is taken");
        assert_eq!(close_code(&mut client, "a close"), code);
    }
    assert_eq!(running.counter("malformed"), 0);
}
