//! A TCP connection on a shard: reads into a buffer that the caller lends for the moment, writes many
//! slices with one system call, and waits without holding memory.
//!
//! Invariants: no operation blocks; dropping a read or a wait loses no bytes; an idle stream holds no
//! buffer; the socket is shut down before it is closed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::sys;

/// Size of the buffer that the connections of a shard read into, one after the other.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// A read is not started with less room than this, which holds the largest package of the skynet dialect.
const READ_ROOM_BYTES_MIN: usize = 64 << 10;

/// The memory that all connections of a shard read into. What was read is split off as [`Bytes`], so
/// payloads are slices of it; the memory is reused once all of them are gone.
pub(crate) struct ReadBuffer(RefCell<BytesMut>);

impl Default for ReadBuffer {
    fn default() -> ReadBuffer {
        ReadBuffer(RefCell::new(BytesMut::new()))
    }
}

/// One TCP connection, bound to this thread's executor.
pub(crate) struct Stream {
    inner: RefCell<TcpStream>,
}

impl Stream {
    /// Takes over a connected socket.
    pub(crate) fn adopt(socket: OwnedFd) -> Stream {
        let inner = sys::executor_tcp_stream(socket);
        // A socket that died between accept and here reports its error at the first read.
        let _ = SockRef::from(&sys::borrow_stream(&inner)).set_tcp_nodelay(true);
        Stream {
            inner: RefCell::new(inner),
        }
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
        let mut inner = sys::executor_tcp_stream(socket);
        // Writing nothing to a socket that still connects would block, so it becomes ready when the
        // connection is up, and fails when it has failed. It waits on the main ring; see the module `rt`.
        poll_fn(|context| Pin::new(&mut inner).poll_write(context, &[])).await?;
        let local = SockRef::from(&sys::borrow_stream(&inner))
            .local_addr()?
            .as_socket();
        // On loopback a connect to a free port of the ephemeral range can meet itself (simultaneous open).
        if local == Some(peer) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "connected to itself",
            ));
        }
        Ok(Stream {
            inner: RefCell::new(inner),
        })
    }

    /// Reads what is there, at most a buffer full; an empty answer is the end of the stream. The flag says
    /// whether it had to wait, and so whether the executor has looked at its I/O.
    pub(crate) async fn read(&self, buffer: &ReadBuffer) -> io::Result<(Bytes, bool)> {
        let mut waited = false;
        poll_fn(|context| {
            let mut buffer = buffer.0.borrow_mut();
            // The buffer always has its full length; what was read is split off its front.
            if buffer.len() < READ_ROOM_BYTES_MIN {
                *buffer = BytesMut::zeroed(READ_BUFFER_BYTES);
            }
            let polled = Pin::new(&mut *self.inner.borrow_mut()).poll_read(context, &mut buffer);
            waited |= polled.is_pending();
            polled.map_ok(|read| (buffer.split_to(read).freeze(), waited))
        })
        .await
    }

    /// Makes the kernel acknowledge at once what comes next. A peer without TCP_NODELAY, such as Skynet's
    /// accepting side, holds the rest of a long answer back until its first part is acknowledged.
    pub(crate) fn acknowledge_now(&self) {
        let _ = SockRef::from(&sys::borrow_stream(&self.inner.borrow())).set_tcp_quickack(true);
    }

    /// Writes as much as the socket takes now; `WouldBlock` when it takes nothing.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let inner = self.inner.borrow();
        SockRef::from(&sys::borrow_stream(&inner))
            .send_vectored_with_flags(slices, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    }

    /// Waits until the socket takes bytes again, and writes some of `bytes` to it.
    pub(crate) fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner.borrow_mut()).poll_write(context, bytes)
    }

    /// Ends the connection in both directions: pending reads and writes return.
    pub(crate) fn shutdown(&self) {
        let _ = SockRef::from(&sys::borrow_stream(&self.inner.borrow())).shutdown(Shutdown::Both);
    }
}
