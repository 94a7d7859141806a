//! A peer made by hand: the bytes of the skynet dialect, and a socket to send any others.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use skyring::seri::{self, Pack};

use crate::server::TIMEOUT;

fn package(pieces: &[&[u8]]) -> Vec<u8> {
    let body = pieces.concat();
    let length = u16::try_from(body.len()).expect("a package of at most 65,535 bytes");
    [&length.to_be_bytes()[..], &body].concat()
}

/// Packed values.
pub(crate) fn pack(values: &(impl Pack + ?Sized)) -> Vec<u8> {
    seri::pack(values).expect("values that can be packed").to_vec()
}

/// A request to a name, or with session 0 a push.
pub(crate) fn request(name: impl AsRef<[u8]>, session: u32, payload: &[u8]) -> Vec<u8> {
    let name = name.as_ref();
    package(&[&[0x80, name.len() as u8], name, &session.to_le_bytes(), payload])
}

/// A request to a handle; handle 0 asks for a name.
pub(crate) fn request_to_handle(handle: u32, session: u32, payload: &[u8]) -> Vec<u8> {
    package(&[&[0], &handle.to_le_bytes(), &session.to_le_bytes(), payload])
}

/// The head of a request that follows in parts.
pub(crate) fn head(name: &str, session: u32, total: u32) -> Vec<u8> {
    let fields = [session.to_le_bytes(), total.to_le_bytes()].concat();
    package(&[&[0x81, name.len() as u8], name.as_bytes(), &fields])
}

/// A part of a request.
pub(crate) fn part(session: u32, bytes: &[u8], is_last: bool) -> Vec<u8> {
    package(&[&[if is_last { 3 } else { 2 }], &session.to_le_bytes(), bytes])
}

/// An answer, or one package of a long one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) session: u32,
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The text of an error.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.kind, 0, "an error was expected: {self:?}");
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection to the node.
pub(crate) struct Peer {
    stream: TcpStream,
    session: u32,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Peer {
        Peer::try_connect(address).expect("a connection")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Peer> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Peer { stream, session: 0 })
    }

    /// Sends bytes; an error when the node has closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `bytes` over and over, until `bytes_max` are sent, or the node has taken none for a while, or
    /// has closed the connection; returns how many were sent.
    pub(crate) fn flood(&mut self, bytes: &[u8], bytes_max: usize) -> usize {
        // A machine that is busy with other things takes a while even for a peer that is read.
        const BLOCKED: Duration = Duration::from_secs(2);
        self.stream.set_nonblocking(true).expect("a socket option");
        let mut sent = 0;
        let mut taken = Instant::now();
        while sent < bytes_max && taken.elapsed() < BLOCKED {
            match self.stream.write(&bytes[sent % bytes.len()..]) {
                Ok(count) => {
                    sent += count;
                    taken = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => break,
            }
        }
        // The connection may be gone.
        let _ = self.stream.set_nonblocking(false);
        sent
    }

    /// Reads one answer; None when the node has closed the connection.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Answer>> {
        let mut length = [0; 2];
        if !self.read_all(&mut length)? {
            return Ok(None);
        }
        let mut package = vec![0; usize::from(u16::from_be_bytes(length))];
        if !self.read_all(&mut package)? {
            return Ok(None);
        }
        let session = u32::from_le_bytes(package[..4].try_into().expect("four bytes"));
        Ok(Some(Answer {
            session,
            kind: package[4],
            body: package[5..].to_vec(),
        }))
    }

    fn read_all(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Calls a name and waits for the answer, one package long.
    pub(crate) fn call(&mut self, name: &str, payload: &[u8]) -> io::Result<Answer> {
        self.session += 1;
        self.send(&request(name, self.session, payload))?;
        let answer = self.receive()?.ok_or(ErrorKind::ConnectionReset)?;
        assert_eq!(answer.session, self.session);
        Ok(answer)
    }

    /// Waits until the node closes the connection; whatever comes before is read and dropped.
    pub(crate) fn wait_for_end(&mut self) {
        let mut bytes = [0; 4096];
        let started = Instant::now();
        while started.elapsed() < TIMEOUT {
            match self.stream.read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(_) => return,
            }
        }
        panic!("the node does not close the connection");
    }
}
