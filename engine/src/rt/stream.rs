//! A TCP connection on a shard.
//!
//! Invariants: no operation blocks; dropping a read or a wait loses no bytes; an idle stream holds no
//! buffer; the socket is shut down before it is closed.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::read_buffer::ReadBuffer;
use super::{Runtime, uring};

/// One TCP connection, bound to this thread's executor.
pub(crate) enum Stream {
    /// Of the executor on io_uring.
    Uring(uring::Stream),
}

impl Stream {
    /// Takes over a connected socket.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        match Runtime::current() {
            Runtime::Uring => uring::Stream::adopt(socket).map(Stream::Uring),
        }
    }

    /// Connects. Bound it with a timeout of your own: a silent host takes minutes otherwise.
    pub(crate) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        match Runtime::current() {
            Runtime::Uring => uring::Stream::connect(peer).await.map(Stream::Uring),
        }
    }

    /// Waits until reading is worth a try. True when it had to wait, and so the executor has looked at its
    /// I/O.
    pub(crate) async fn readable(&self) -> io::Result<bool> {
        match self {
            Stream::Uring(stream) => stream.readable().await,
        }
    }

    /// Reads what is there, at most a buffer full, and less while many connections are busy; an empty answer
    /// is the end of the stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        match self {
            Stream::Uring(stream) => stream.try_read(buffer),
        }
    }

    /// Appends what is there, at most `bytes_max`, to a buffer that has room for it; 0 is the end of the
    /// stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        match self {
            Stream::Uring(stream) => stream.try_read_into(buffer, bytes_max),
        }
    }

    /// Makes the kernel acknowledge at once what comes next. A peer without TCP_NODELAY, such as Skynet's
    /// accepting side, holds the rest of a long answer back until its first part is acknowledged.
    pub(crate) fn acknowledge_now(&self) {
        match self {
            Stream::Uring(stream) => stream.acknowledge_now(),
        }
    }

    /// Writes as much as the socket takes now; `WouldBlock` when it takes nothing.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Uring(stream) => stream.try_write(slices),
        }
    }

    /// Waits until the socket takes bytes again, and writes some of `bytes` to it.
    pub(crate) fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Uring(stream) => stream.poll_write(context, bytes),
        }
    }

    /// Another descriptor of the same connection, which lives on when this stream is dropped.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Stream::Uring(stream) => stream.duplicate(),
        }
    }

    /// Tells the peer that nothing more is written; what it sends can still be read.
    pub(crate) fn finish(&self) {
        match self {
            Stream::Uring(stream) => stream.finish(),
        }
    }

    /// Ends the connection in the direction of the peer.
    pub(crate) fn shutdown_writing(&self) {
        match self {
            Stream::Uring(stream) => stream.shutdown_writing(),
        }
    }

    /// Ends the connection in both directions: pending reads and writes return.
    pub(crate) fn shutdown(&self) {
        match self {
            Stream::Uring(stream) => stream.shutdown(),
        }
    }
}
