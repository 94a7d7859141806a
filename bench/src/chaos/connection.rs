//! One connection through the proxy: its two sockets and its two directions.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, SockRef, Socket, Type};

use super::direction::Direction;
use super::faults::Faults;

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Which of the two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Target,
}

/// A connection.
pub(super) struct Connection {
    client: TcpStream,
    target: TcpStream,
    /// The connect to the target has not completed.
    is_connecting: bool,
    /// From the client to the target.
    forth: Direction,
    /// From the target to the client.
    back: Direction,
}

impl Connection {
    /// Takes over a client's socket and begins to connect to the target.
    pub(super) fn start(client: TcpStream, target: SocketAddr) -> io::Result<Connection> {
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&target.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Connection {
            client,
            target: socket.into(),
            is_connecting: true,
            forth: Direction::default(),
            back: Direction::default(),
        })
    }

    /// Whether the connect to the target has not completed.
    pub(super) fn is_connecting(&self) -> bool {
        self.is_connecting
    }

    pub(super) fn socket(&self, side: Side) -> &TcpStream {
        match side {
            Side::Client => &self.client,
            Side::Target => &self.target,
        }
    }

    /// The events of a socket that the proxy polls for.
    pub(super) fn interest(&self, side: Side) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.is_connecting {
            return match side {
                Side::Client => flags,
                Side::Target => PollFlags::OUT,
            };
        }
        let (read, written) = match side {
            Side::Client => (&self.forth, &self.back),
            Side::Target => (&self.back, &self.forth),
        };
        flags.set(PollFlags::IN, read.may_read());
        flags.set(PollFlags::OUT, written.is_blocked());
        flags
    }

    /// When it has something to do without an event of a socket.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.is_connecting {
            return None;
        }
        match (self.forth.next_due(), self.back.next_due()) {
            (Some(forth), Some(back)) => Some(forth.min(back)),
            (forth, back) => forth.or(back),
        }
    }

    /// Handles an event of a socket.
    ///
    /// # Errors
    /// When the connection has ended; the caller drops it.
    pub(super) fn ready(&mut self, side: Side, faults: &Faults, buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.is_connecting {
            if let Some(error) = self.target.take_error()? {
                return Err(error);
            }
            self.is_connecting = false;
            return Ok(());
        }
        buffer.resize(READ_BYTES, 0);
        let due = Instant::now() + faults.delay;
        let (direction, from) = match side {
            Side::Client => (&mut self.forth, &mut self.client),
            Side::Target => (&mut self.back, &mut self.target),
        };
        if direction.may_read() {
            direction.read(from, buffer, due)?;
        }
        // After any event the direction that writes to this socket may try again.
        match side {
            Side::Client => self.back.unblock(),
            Side::Target => self.forth.unblock(),
        }
        Ok(())
    }

    /// Forwards the bytes that are due, and returns their number.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(super) fn forward(&mut self, faults: &Faults, now: Instant) -> io::Result<u64> {
        if self.is_connecting {
            return Ok(0);
        }
        let forth = self.forth.write(&mut self.target, faults, now)?;
        let back = self.back.write(&mut self.client, faults, now)?;
        if self.forth.has_ended() && self.back.has_ended() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(forth + back)
    }

    /// Ends it without forwarding the bytes that it holds.
    pub(super) fn cut(self, reset: bool) {
        if reset {
            for socket in [&self.client, &self.target] {
                // If this fails the end is an orderly one, which is a cut too.
                let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
        }
    }
}
