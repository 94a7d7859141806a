//! One connection that passes through the proxy: its two sockets, and what waits in each direction.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, SockRef, Socket, Type};

use super::{CHAOS_HELD_BYTES_MAX, Faults};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Time between two pieces of a trickle.
const TRICKLE_PAUSE: Duration = Duration::from_millis(1);

/// What was read together, and when it may be passed on.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    /// How many of them are passed on already.
    passed: usize,
}

/// One direction.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Piece>,
    held: usize,
    /// The reading side has ended, and its end is to be passed on at that time.
    end: Option<Instant>,
    end_passed: bool,
    /// The writing side took no more when it was tried last.
    blocked: bool,
    /// When the next piece of a trickle may go.
    next_piece: Option<Instant>,
}

/// Which of the two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Target,
}

/// A connection; see the module.
pub(super) struct Connection {
    client: TcpStream,
    target: TcpStream,
    /// The connect to the target is under way.
    connecting: bool,
    /// From the client to the target.
    forth: Lane,
    /// From the target to the client.
    back: Lane,
}

impl Lane {
    /// When something can be done that cannot be done now; `None` = not without news of a socket.
    fn next_due(&self) -> Option<Instant> {
        if self.blocked {
            return None;
        }
        let due = self
            .waiting
            .front()
            .map(|piece| piece.due)
            .or(match self.end_passed {
                true => None,
                false => self.end,
            })?;
        Some(self.next_piece.map_or(due, |next| due.max(next)))
    }

    fn may_read(&self) -> bool {
        self.end.is_none() && self.held < CHAOS_HELD_BYTES_MAX
    }

    fn read(&mut self, from: &mut TcpStream, buffer: &mut [u8], due: Instant) -> io::Result<()> {
        match from.read(buffer) {
            Ok(0) => self.end = Some(due),
            Ok(count) => {
                self.held += count;
                self.waiting.push_back(Piece {
                    due,
                    bytes: buffer[..count].to_vec(),
                    passed: 0,
                });
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Passes on what is due; gives how many bytes that were.
    fn write(&mut self, to: &mut TcpStream, faults: &Faults, now: Instant) -> io::Result<u64> {
        let mut passed = 0;
        while let Some(piece) = self.waiting.front_mut() {
            let is_early = piece.due > now || self.next_piece.is_some_and(|next| next > now);
            if is_early {
                return Ok(passed);
            }
            let rest = &piece.bytes[piece.passed..];
            let count_max = faults
                .trickle_bytes
                .map_or(rest.len(), |most| most.clamp(1, rest.len()));
            match to.write(&rest[..count_max]) {
                Ok(count) => {
                    self.blocked = false;
                    self.next_piece = faults.trickle_bytes.map(|_| now + TRICKLE_PAUSE);
                    piece.passed += count;
                    self.held -= count;
                    passed += count as u64;
                    if piece.passed == piece.bytes.len() {
                        self.waiting.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(passed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.end.is_some_and(|due| due <= now) && !self.end_passed {
            self.end_passed = true;
            // The other side may be gone already.
            let _ = to.shutdown(Shutdown::Write);
        }
        Ok(passed)
    }
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
            connecting: true,
            forth: Lane::default(),
            back: Lane::default(),
        })
    }

    /// Whether the target has not answered yet.
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting
    }

    pub(super) fn socket(&self, side: Side) -> &TcpStream {
        match side {
            Side::Client => &self.client,
            Side::Target => &self.target,
        }
    }

    /// What the proxy wants to know of a socket.
    pub(super) fn interest(&self, side: Side) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.connecting {
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
        flags.set(PollFlags::OUT, written.blocked);
        flags
    }

    /// When to look at it although no socket has news.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.connecting {
            return None;
        }
        match (self.forth.next_due(), self.back.next_due()) {
            (Some(forth), Some(back)) => Some(forth.min(back)),
            (forth, back) => forth.or(back),
        }
    }

    /// A socket has news.
    ///
    /// # Errors
    /// When the connection is over; whoever calls drops it.
    pub(super) fn ready(&mut self, side: Side, faults: &Faults, buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.connecting {
            if let Some(error) = self.target.take_error()? {
                return Err(error);
            }
            self.connecting = false;
            return Ok(());
        }
        buffer.resize(READ_BYTES, 0);
        let due = Instant::now() + faults.delay;
        let (lane, from) = match side {
            Side::Client => (&mut self.forth, &mut self.client),
            Side::Target => (&mut self.back, &mut self.target),
        };
        if lane.may_read() {
            lane.read(from, buffer, due)?;
        }
        // Whatever the news was, the lane that writes there may try again.
        match side {
            Side::Client => self.back.blocked = false,
            Side::Target => self.forth.blocked = false,
        }
        Ok(())
    }

    /// Passes on what is due; gives how many bytes that were.
    ///
    /// # Errors
    /// When the connection is over.
    pub(super) fn pass(&mut self, faults: &Faults, now: Instant) -> io::Result<u64> {
        if self.connecting {
            return Ok(0);
        }
        let forth = self.forth.write(&mut self.target, faults, now)?;
        let back = self.back.write(&mut self.client, faults, now)?;
        if self.forth.end_passed && self.back.end_passed {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(forth + back)
    }

    /// Ends it without passing on what waits.
    pub(super) fn cut(self, reset: bool) {
        if reset {
            for socket in [&self.client, &self.target] {
                // Without it the end is an orderly one, which is a cut too.
                let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
        }
    }
}
