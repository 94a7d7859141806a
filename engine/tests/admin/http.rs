//! A client of the admin server, and nodes that have one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use skyring::config::Admin;
use skyring::log::Destination;
use skyring::status::NodeStatus;
use skyring::{Node, NodeBuilder};

use crate::node::TIMEOUT;

/// An address that nobody listens on. Its port is below those that the kernel assigns to outgoing connections.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin with different ports.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(37);
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + start.wrapping_add(step) % COUNT));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {COUNT} is free");
}

/// A node without a log.
pub(crate) fn quiet(threads: usize) -> NodeBuilder {
    Node::builder()
        .threads(threads)
        .stop_timeout(Duration::from_millis(200))
        .log_to(Destination::File("/dev/null".into()))
}

/// A node with an admin server, and its address.
pub(crate) fn builder(threads: usize, token: Option<&str>) -> (NodeBuilder, SocketAddr) {
    let address = free_address();
    let admin = Admin::new(address, token.map(str::as_bytes)).expect("an address of this machine");
    (quiet(threads).admin(admin), address)
}

/// An answer: its status and head, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A connection.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time");
    stream
}

/// Sends a request with these lines behind its first one, and reads the answer to its end.
pub(crate) fn request(address: SocketAddr, first: &str, lines: &[&str]) -> Answer {
    let mut stream = connect(address);
    let mut request = format!("{first} HTTP/1.1\r\nHost: {address}\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    stream
        .write_all(format!("{request}\r\n").as_bytes())
        .expect("it reads");
    read(&mut stream)
}

/// Reads an answer to its end.
pub(crate) fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer, and its end");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Gets a page.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path}"), &[])
}

/// The status of the node.
pub(crate) fn status(address: SocketAddr) -> NodeStatus {
    let answer = get(address, "/api/status");
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("the document has the form of its type")
}
