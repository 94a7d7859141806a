//! A peer under the control of a test: a plain listener that speaks the skynet dialect by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::node::TIMEOUT;

/// A listener on a free port.
pub(crate) struct Peer(TcpListener);

impl Peer {
    /// Listens.
    pub(crate) fn listen() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a flag of the socket");
        Peer(listener)
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().expect("it is bound").to_string()
    }

    /// The next connection, whose hello it answers as a Skynet node does.
    pub(crate) fn accept(&self) -> PeerConnection {
        let mut connection = self.accept_silent();
        let (session, payload) = connection.read_request();
        let is_hello = payload.windows(13).any(|bytes| bytes == b"skyring.hello");
        assert!(is_hello, "the first request is no hello");
        connection.answer_error(session, b"name not found");
        connection
    }

    /// The next connection, whose hello is not answered.
    pub(crate) fn accept_silent(&self) -> PeerConnection {
        let started = Instant::now();
        loop {
            if let Ok((stream, _)) = self.0.accept() {
                stream.set_nonblocking(false).expect("a flag of the socket");
                stream.set_read_timeout(Some(TIMEOUT)).expect("a time above zero");
                return PeerConnection(stream);
            }
            assert!(started.elapsed() < TIMEOUT, "there is no connection");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// One connection of a node to this peer.
pub(crate) struct PeerConnection(TcpStream);

impl PeerConnection {
    /// Reads one small request and returns its session and payload; skips pings.
    pub(crate) fn read_request(&mut self) -> (u32, Vec<u8>) {
        loop {
            let request = self.read_any();
            if !request.1.ends_with(b"skyring.ping") {
                return request;
            }
        }
    }

    /// Reads the next small request, a ping too.
    pub(crate) fn read_any(&mut self) -> (u32, Vec<u8>) {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).expect("a package comes");
        let mut package = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut package).expect("the whole package comes");
        let session_at = match package[0] {
            0x00 => 5,
            0x80 => 2 + usize::from(package[1]),
            other => panic!("a package of type {other:#x} is no small request"),
        };
        let session: [u8; 4] = package[session_at..session_at + 4]
            .try_into()
            .expect("four bytes");
        (u32::from_le_bytes(session), package.split_off(session_at + 4))
    }

    /// Answers a request with an error.
    pub(crate) fn answer_error(&mut self, session: u32, text: &[u8]) {
        let mut package = (text.len() as u16 + 5).to_be_bytes().to_vec();
        package.extend(session.to_le_bytes());
        package.push(0);
        package.extend(text);
        self.write_bytes(&package);
    }

    /// Answers a request with packed values.
    pub(crate) fn answer(&mut self, session: u32, payload: &[u8]) {
        let length = u16::try_from(payload.len() + 5).expect("a small answer");
        let mut package = length.to_be_bytes().to_vec();
        package.extend(session.to_le_bytes());
        package.push(1);
        package.extend(payload);
        self.write_bytes(&package);
    }

    /// Reads `count` bytes.
    pub(crate) fn read_bytes(&mut self, count: usize) {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("that many bytes come");
    }

    /// Writes bytes as they are.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the node reads");
    }

    /// Waits until the node has closed the connection, and discards everything before that.
    pub(crate) fn wait_closed(mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the node has not closed the connection: {error}"),
            }
        }
    }
}
