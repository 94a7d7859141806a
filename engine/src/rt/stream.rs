//! A TCP connection on a shard: reads into a buffer that the caller lends for the moment, writes many
//! slices with one system call, and waits without holding memory.
//!
//! Invariants: no operation blocks; dropping a read or a wait loses no bytes; an idle stream holds no
//! buffer; the socket is shut down before it is closed; what was read keeps at most [`LENT_BYTES_MAX`] of
//! buffers from being used again, as long as payloads go through [`ReadBuffer::lend`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use skyring_codec::retain::RETAINED_COPY_BYTES_MAX;
use skyring_codec::skynet::PACKAGE_BYTES_MAX;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::executor::{self, Executor};
use super::ring::{Direction, SourceKey};
use super::sys;

/// Size of the buffer that the connections of a shard read into, one after the other.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// A read is not started with less room than this, which holds the largest package of the skynet dialect.
const READ_ROOM_BYTES_MIN: usize = 64 << 10;

/// Buffers that may be lent out, because payloads are slices of them, before payloads should be copied.
const LENT_BUFFERS_MAX: usize = 128;

/// Buffers that may be lent out before small payloads are copied: of those that are kept for long each would keep a
/// whole buffer.
const LENT_BUFFERS_SMALL_MAX: usize = 16;

/// What the lent buffers take at most, in bytes.
pub(crate) const LENT_BYTES_MAX: usize = LENT_BUFFERS_MAX * READ_BUFFER_BYTES;

/// While so many connections have read more than they have worked off, a read is short.
const LONG_READERS_MAX: usize = 64;

/// Bytes of a short read.
const SHORT_READ_BYTES: usize = 16 << 10;

/// Silence after which the kernel asks the other host whether the connection still is; well below the
/// 15 minutes after which load balancers forget one.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Unanswered questions after which the connection is broken.
const KEEPALIVE_RETRIES: u32 = 4;

/// How long the other host may acknowledge nothing of what was sent, or take nothing of it, before the connection is
/// broken: what watches the peers finds them sooner, but not all are watched.
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(60);

/// The memory that all connections of a shard read into. What was read is split off as [`Bytes`], so
/// payloads are slices of it. A buffer that is used up is lent out until all of them are gone, and then
/// used again.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    /// Empty, with room for what has not been read yet; none before the first read.
    current: RefCell<Option<BytesMut>>,
    lent: RefCell<VecDeque<BytesMut>>,
    /// How many are lent out.
    lent_count: Cell<usize>,
    /// Connections that have not worked off what they read.
    busy: Cell<usize>,
}

impl ReadBuffer {
    /// So many buffers are lent out that what is kept for long should be copied: a slice of a few bytes
    /// keeps a whole buffer.
    pub(crate) fn is_scarce(&self) -> bool {
        self.lent_count.get() >= LENT_BUFFERS_MAX
    }

    /// A payload of what was read, for whoever may keep it: itself, or a copy when so many buffers are lent out
    /// that a slice should not keep another.
    #[inline]
    pub(crate) fn lend(&self, payload: Bytes) -> Bytes {
        if self.lent_count.get() < LENT_BUFFERS_SMALL_MAX {
            payload
        } else {
            self.lend_scarce(payload)
        }
    }

    #[cold]
    fn lend_scarce(&self, payload: Bytes) -> Bytes {
        let is_copied = match self.lent_count.get() {
            // A longer one was read to a place of its own, and is no slice of a read buffer.
            LENT_BUFFERS_MAX.. => payload.len() <= PACKAGE_BYTES_MAX,
            _ => payload.len() <= RETAINED_COPY_BYTES_MAX,
        };
        if is_copied {
            Bytes::copy_from_slice(&payload)
        } else {
            payload
        }
    }

    /// A connection has read something that it will take time to work off.
    pub(crate) fn begin_work(&self) {
        self.busy.set(self.busy.get() + 1);
    }

    /// It has worked it off.
    pub(crate) fn end_work(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
    }

    /// How much the next read may bring.
    fn read_bytes_max(&self) -> usize {
        if self.busy.get() < LONG_READERS_MAX {
            READ_BUFFER_BYTES
        } else {
            SHORT_READ_BYTES
        }
    }

    /// Gives `read` a buffer to read into, and how much it may bring; splits off what it has read.
    fn fill<E>(&self, read: impl FnOnce(&mut BytesMut, usize) -> Result<usize, E>) -> Result<Bytes, E> {
        let mut current = self.current.borrow_mut();
        let buffer = match &mut *current {
            Some(buffer) if buffer.capacity() >= READ_ROOM_BYTES_MIN => buffer,
            used_up => {
                let renewed = self.renew(used_up.take());
                used_up.insert(renewed)
            }
        };
        let room = buffer.capacity().min(self.read_bytes_max());
        read(buffer, room).map(|_| buffer.split().freeze())
    }

    /// Lends a buffer out and gives another: one that has come back, or a new one.
    fn renew(&self, used_up: Option<BytesMut>) -> BytesMut {
        let mut lent = self.lent.borrow_mut();
        if let Some(mut used_up) = used_up
            // When there are too many it is not remembered; what is sliced from it then does not last.
            && lent.len() < LENT_BUFFERS_MAX
        {
            used_up.clear();
            lent.push_back(used_up);
        }
        let is_back = |buffer: &mut BytesMut| buffer.try_reclaim(READ_BUFFER_BYTES);
        // The oldest is the likeliest to have come back.
        let place = lent.iter_mut().position(is_back);
        let mut buffer = place.and_then(|place| lent.remove(place)).unwrap_or_default();
        // A burst leaves many behind, so each time one more is let go.
        if lent.len() > 1 && lent.front_mut().is_some_and(is_back) {
            lent.pop_front();
        }
        self.lent_count.set(lent.len());
        buffer.reserve(READ_BUFFER_BYTES);
        buffer
    }
}

/// One TCP connection, bound to this thread's executor.
pub(crate) struct Stream {
    socket: TcpStream,
    executor: Rc<Executor>,
    source: SourceKey,
}

impl Stream {
    /// Takes over a connected socket.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        let socket = TcpStream::from(socket);
        // A socket that died between accept and here reports its error at the first read.
        let _ = socket.set_nodelay(true);
        Stream::new(socket)
    }

    /// Connects. Bound it with a timeout of your own: a silent host takes minutes otherwise.
    pub(crate) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&peer.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let stream = Stream::new(socket.into())?;
        // A socket that connects becomes writable when the connection is up, and when it has failed.
        poll_fn(|context| stream.poll_ready(Direction::Write, context)).await?;
        if let Some(error) = stream.socket.take_error()? {
            return Err(error);
        }
        // On loopback a connect to a free port of the ephemeral range can meet itself (simultaneous open).
        if stream.socket.local_addr().ok() == Some(peer) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "connected to itself",
            ));
        }
        Ok(stream)
    }

    fn new(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        watch_host(&socket);
        let executor = executor::current()?;
        let source = executor.ring.insert(socket.as_raw_fd());
        Ok(Stream {
            socket,
            executor,
            source,
        })
    }

    fn poll_ready(&self, direction: Direction, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.executor.ring.poll_ready(self.source, direction, context)
    }

    fn is_exhausted(&self, direction: Direction) {
        self.executor.ring.is_exhausted(self.source, direction);
    }

    /// Waits until reading is worth a try. True when it had to wait, and so the executor has looked at its
    /// I/O.
    pub(crate) async fn readable(&self) -> io::Result<bool> {
        let mut waited = false;
        poll_fn(|context| {
            let ready = self.poll_ready(Direction::Read, context);
            waited |= ready.is_pending();
            ready.map_ok(|()| waited)
        })
        .await
    }

    /// Reads what is there, at most a buffer full, and less while many connections are busy; an empty answer
    /// is the end of the stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        buffer.fill(|room, bytes_max| self.read_now(room, bytes_max))
    }

    /// Appends what is there, at most `bytes_max`, to a buffer that has room for it; 0 is the end of the
    /// stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        self.read_now(buffer, bytes_max)
    }

    fn read_now(&self, buffer: &mut impl BufMut, bytes_max: usize) -> io::Result<usize> {
        let read = sys::receive(&self.socket, buffer, bytes_max);
        match &read {
            // Less than there was room for was all: what comes after it is told.
            Ok(count) if *count < bytes_max => self.is_exhausted(Direction::Read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_exhausted(Direction::Read),
            _ => {}
        }
        read
    }

    /// Makes the kernel acknowledge at once what comes next. A peer without TCP_NODELAY, such as Skynet's
    /// accepting side, holds the rest of a long answer back until its first part is acknowledged.
    pub(crate) fn acknowledge_now(&self) {
        let _ = SockRef::from(&self.socket).set_tcp_quickack(true);
    }

    /// Writes as much as the socket takes now; `WouldBlock` when it takes nothing.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = SockRef::from(&self.socket);
        match slices {
            [slice] => socket.send_with_flags(slice, libc::MSG_NOSIGNAL),
            slices => socket.send_vectored_with_flags(slices, libc::MSG_NOSIGNAL),
        }
    }

    /// Waits until the socket takes bytes again, and writes some of `bytes` to it.
    pub(crate) fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match (&self.socket).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_exhausted(Direction::Write);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => return Poll::Ready(written),
            }
            match self.poll_ready(Direction::Write, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Another descriptor of the same connection, which lives on when this stream is dropped.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Tells the peer that nothing more is written; what it sends can still be read.
    pub(crate) fn finish(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the connection in the direction of the peer.
    pub(crate) fn shutdown_writing(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the connection in both directions: pending reads and writes return.
    pub(crate) fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.executor.ring.remove(self.source);
    }
}

/// Has the kernel notice that the other host is gone: without it one that vanished would keep its connection, and its
/// place, for ever.
fn watch_host(socket: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    // A socket that has died meanwhile reports its own error.
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gives_up_a_host_that_acknowledges_nothing_or_is_silent() {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        watch_host(&socket);
        let socket = SockRef::from(&socket);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_TIME_MAX));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
    }

    /// Reads `count` bytes, or as many as there is room for.
    fn read(buffer: &ReadBuffer, count: usize) -> Bytes {
        let filled = buffer.fill(|room, bytes_max| {
            let count = count.min(bytes_max);
            room.put_bytes(7, count);
            Ok::<_, ()>(count)
        });
        match filled {
            Ok(chunk) => chunk,
            Err(()) => panic!("reading into memory does not fail"),
        }
    }

    fn lent(buffer: &ReadBuffer) -> usize {
        buffer.lent.borrow().len()
    }

    #[test]
    fn memory_that_nobody_keeps_is_read_into_again() {
        let buffer = ReadBuffer::default();
        let mut places = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let chunk = read(&buffer, 100_000);
            assert_eq!(chunk.len(), 100_000);
            places.insert(chunk.as_ptr());
        }
        assert!(places.len() <= 4, "{} places", places.len());
        assert!(lent(&buffer) <= 2);
    }

    #[test]
    fn kept_slices_make_buffers_scarce_and_letting_go_of_them_ends_it() {
        let buffer = ReadBuffer::default();
        let mut kept = Vec::new();
        while lent(&buffer) < LENT_BUFFERS_MAX {
            kept.push(read(&buffer, READ_BUFFER_BYTES).slice(..1));
        }
        assert_eq!(kept.len(), LENT_BUFFERS_MAX + 1);
        // More are read into without being remembered, and what is kept keeps its bytes.
        for _ in 0..2 * LENT_BUFFERS_MAX {
            assert_eq!(read(&buffer, READ_BUFFER_BYTES).len(), READ_BUFFER_BYTES);
        }
        assert_eq!(lent(&buffer), LENT_BUFFERS_MAX);
        assert!(kept.iter().all(|slice| slice[..] == [7]));
        kept.clear();
        for _ in 0..2 * LENT_BUFFERS_MAX {
            read(&buffer, READ_BUFFER_BYTES);
        }
        assert!(lent(&buffer) <= 2, "{} after the burst", lent(&buffer));
    }

    #[test]
    fn small_payloads_are_copied_when_some_buffers_are_lent_and_all_when_many_are() {
        let buffer = ReadBuffer::default();
        let is_copied = |bytes: usize| {
            let payload = Bytes::from(vec![7; bytes]);
            buffer.lend(payload.clone()).as_ptr() != payload.as_ptr()
        };
        let sizes = [1, RETAINED_COPY_BYTES_MAX, PACKAGE_BYTES_MAX, 1 << 20];
        let mut kept = Vec::new();
        for (lent_out, copied) in [
            (LENT_BUFFERS_SMALL_MAX - 1, [false; 4]),
            (LENT_BUFFERS_SMALL_MAX, [true, true, false, false]),
            (LENT_BUFFERS_MAX, [true, true, true, false]),
        ] {
            while lent(&buffer) < lent_out {
                kept.push(read(&buffer, READ_BUFFER_BYTES).slice(..1));
            }
            assert_eq!(sizes.map(is_copied), copied, "{lent_out} lent out");
        }
    }

    #[test]
    fn reads_are_short_while_many_connections_are_busy() {
        let buffer = ReadBuffer::default();
        for _ in 0..LONG_READERS_MAX {
            assert_eq!(read(&buffer, usize::MAX).len(), READ_BUFFER_BYTES);
            buffer.begin_work();
        }
        assert_eq!(read(&buffer, usize::MAX).len(), SHORT_READ_BYTES);
        buffer.end_work();
        assert!(read(&buffer, usize::MAX).len() >= READ_ROOM_BYTES_MIN);
    }
}
