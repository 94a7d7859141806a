//! A TCP connection on the ring of its thread: reads into a buffer that the caller lends for the moment, writes many
//! slices with one system call, and waits without holding memory.

use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::executor::{self, Executor};
use super::operations;
use super::ring::{Direction, SourceKey};
use crate::rt::read_buffer::ReadBuffer;
use crate::rt::socket_options::watch_host;

/// One TCP connection, bound to this thread's executor.
pub(crate) struct Stream {
    socket: TcpStream,
    executor: Rc<Executor>,
    source: SourceKey,
}

impl Stream {
    /// Takes over a connected socket.
    pub(in crate::rt) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        let socket = TcpStream::from(socket);
        // A socket that died between accept and here reports its error at the first read.
        let _ = socket.set_nodelay(true);
        Stream::new(socket)
    }

    /// Connects. Bound it with a timeout of your own: a silent host takes minutes otherwise.
    pub(in crate::rt) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
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
    pub(in crate::rt) async fn readable(&self) -> io::Result<bool> {
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
    pub(in crate::rt) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        buffer.fill(|room, bytes_max| self.read_now(room, bytes_max))
    }

    /// Appends what is there, at most `bytes_max`, to a buffer that has room for it; 0 is the end of the
    /// stream. `WouldBlock` when there is nothing.
    pub(in crate::rt) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        self.read_now(buffer, bytes_max)
    }

    fn read_now(&self, buffer: &mut impl BufMut, bytes_max: usize) -> io::Result<usize> {
        let read = operations::receive(&self.socket, buffer, bytes_max);
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
    pub(in crate::rt) fn acknowledge_now(&self) {
        let _ = SockRef::from(&self.socket).set_tcp_quickack(true);
    }

    /// Writes as much as the socket takes now; `WouldBlock` when it takes nothing.
    pub(in crate::rt) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = SockRef::from(&self.socket);
        match slices {
            [slice] => socket.send_with_flags(slice, libc::MSG_NOSIGNAL),
            slices => socket.send_vectored_with_flags(slices, libc::MSG_NOSIGNAL),
        }
    }

    /// Waits until the socket takes bytes again, and writes some of `bytes` to it.
    pub(in crate::rt) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
    pub(in crate::rt) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Tells the peer that nothing more is written; what it sends can still be read.
    pub(in crate::rt) fn finish(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the connection in the direction of the peer.
    pub(in crate::rt) fn shutdown_writing(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the connection in both directions: pending reads and writes return.
    pub(in crate::rt) fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.executor.ring.remove(self.source);
    }
}
