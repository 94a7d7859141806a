//! A TCP connection on a shard.
//!
//! Invariants: no operation blocks; dropping a read or a wait loses no bytes; an idle stream holds no
//! buffer; the socket is shut down before it is closed.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;

#[cfg(feature = "glommio")]
use super::glommio;
#[cfg(feature = "testing")]
use super::manual;
use super::read_buffer::ReadBuffer;
use super::socket::Socket;
use super::{Runtime, uring};

/// What became of bytes that a [`Writer`] had.
pub(crate) enum Wrote {
    /// The socket has taken the first `bytes` of them. When it is full the stream waits for room, and then asks again.
    Some { bytes: usize, is_full: bool },
    /// None, and it will take no more.
    Failed(io::Error),
}

impl Wrote {
    /// Slices of one write; when a writer gives as many it is asked for more at once.
    pub(crate) const SLICES_MAX: usize = 64;
}

/// Whoever has bytes for a stream.
pub(crate) trait Writer {
    /// Gives `write` what is to be written next, at most [`Wrote::SLICES_MAX`] slices, while nothing moves them;
    /// nothing when there is nothing. The stream may be written by then, but what became of it is said later.
    fn gather(&self, write: &mut dyn FnMut(&[IoSlice<'_>]));
    /// Takes notice of what became of it.
    fn wrote(&self, outcome: Wrote);
    /// Whether a task waits for that notice: the shard does not sleep then before it is given.
    fn is_awaited(&self) -> bool;
}

/// One TCP connection, bound to this thread's executor.
pub(crate) enum Stream {
    /// Of the executor on io_uring.
    Uring(uring::Stream),
    /// Of glommio's executor.
    #[cfg(feature = "glommio")]
    Glommio(glommio::Stream),
    /// Of a test, which holds the other end.
    #[cfg(feature = "testing")]
    Manual(manual::Stream),
}

impl Stream {
    /// Takes over a connected socket.
    pub(crate) fn adopt(socket: Socket) -> io::Result<Stream> {
        #[cfg_attr(
            not(feature = "testing"),
            expect(
                clippy::infallible_destructuring_match,
                reason = "with the feature there is another kind of socket"
            )
        )]
        let socket = match socket {
            Socket::Kernel(socket) => socket,
            #[cfg(feature = "testing")]
            Socket::Manual(socket) => return manual::Stream::adopt(socket).map(Stream::Manual),
        };
        match Runtime::current() {
            Runtime::Uring => uring::Stream::adopt(socket).map(Stream::Uring),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => glommio::Stream::adopt(socket).map(Stream::Glommio),
            #[cfg(feature = "testing")]
            Runtime::Manual => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether streams of this thread can [give their descriptors back](Self::give_descriptor_back).
    pub(crate) fn can_give_descriptors_back() -> bool {
        match Runtime::current() {
            Runtime::Uring => uring::Stream::can_give_descriptors_back(),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => false,
            #[cfg(feature = "testing")]
            Runtime::Manual => false,
        }
    }

    /// Gives its descriptor of the process back, where it can be read and written without: it no longer counts against the
    /// limit of open files. Nothing was read or written yet.
    pub(crate) fn give_descriptor_back(&mut self) {
        match self {
            Stream::Uring(stream) => stream.give_descriptor_back(),
            #[cfg(feature = "glommio")]
            Stream::Glommio(_) => {}
            #[cfg(feature = "testing")]
            Stream::Manual(_) => {}
        }
    }

    /// Connects. Bound it with a timeout of your own: a silent host takes minutes otherwise.
    pub(crate) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        match Runtime::current() {
            Runtime::Uring => uring::Stream::connect(peer).await.map(Stream::Uring),
            #[cfg(feature = "glommio")]
            Runtime::Glommio => glommio::Stream::connect(peer).await.map(Stream::Glommio),
            #[cfg(feature = "testing")]
            Runtime::Manual => manual::Stream::connect(peer).await.map(Stream::Manual),
        }
    }

    /// Waits until reading is worth a try. True when it had to wait, and so the executor has looked at its
    /// I/O.
    pub(crate) async fn readable(&self) -> io::Result<bool> {
        match self {
            Stream::Uring(stream) => stream.readable().await,
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.readable().await,
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.readable().await,
        }
    }

    /// Reads what is there, at most a buffer full, and less while many connections are busy; an empty answer
    /// is the end of the stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        match self {
            Stream::Uring(stream) => stream.try_read(buffer),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.try_read(buffer),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.try_read(),
        }
    }

    /// Appends what is there, at most `bytes_max`, to a buffer that has room for it; 0 is the end of the
    /// stream. `WouldBlock` when there is nothing.
    pub(crate) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        match self {
            Stream::Uring(stream) => stream.try_read_into(buffer, bytes_max),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.try_read_into(buffer, bytes_max),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.try_read_into(buffer, bytes_max),
        }
    }

    /// Makes the kernel acknowledge at once what comes next. A peer without TCP_NODELAY, such as Skynet's
    /// accepting side, holds the rest of a long answer back until its first part is acknowledged.
    pub(crate) fn acknowledge_now(&self) {
        match self {
            Stream::Uring(stream) => stream.acknowledge_now(),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.acknowledge_now(),
            #[cfg(feature = "testing")]
            Stream::Manual(_) => {}
        }
    }

    /// Has what the writer has written at the end of this pass, or as soon as the socket takes it. One writer at
    /// a time: a second replaces the first.
    pub(crate) fn write(&self, writer: &Rc<dyn Writer>) {
        match self {
            Stream::Uring(stream) => stream.write(writer),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.write(writer),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.write(writer),
        }
    }

    /// As [`write`](Self::write), but as far as the socket takes it at once it is written when this returns.
    pub(crate) fn write_now(&self, writer: &Rc<dyn Writer>) {
        match self {
            Stream::Uring(stream) => stream.write_now(writer),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.write(writer),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.write(writer),
        }
    }

    /// Throws away what has come and was not read: with unread bytes the kernel would reset the connection when it is
    /// closed, and the peer could lose what it has not read yet.
    pub(crate) fn discard(&self) {
        match self {
            Stream::Uring(stream) => stream.discard(),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.discard(),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.discard(),
        }
    }

    /// Releases the connection to another owner: another descriptor of it, which lives on when this stream is dropped, and
    /// the bytes that have come and were not read. Nothing is read here afterwards.
    pub(crate) async fn release(&self) -> io::Result<(Socket, Bytes)> {
        let (descriptor, unread) = match self {
            Stream::Uring(stream) => stream.release().await?,
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.release()?,
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => return Ok(stream.release()),
        };
        Ok((descriptor.into(), unread))
    }

    /// Tells the peer that nothing more is written, after what was to be written before and is taken at once; what it
    /// sends can still be read.
    pub(crate) fn finish(&self) {
        match self {
            Stream::Uring(stream) => stream.finish(),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.finish(),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.finish(),
        }
    }

    /// Ends the connection in both directions, after what was to be written before and is taken at once: a task that waits
    /// to read sees the end, and no writer is asked any more.
    pub(crate) fn shutdown(&self) {
        match self {
            Stream::Uring(stream) => stream.shutdown(),
            #[cfg(feature = "glommio")]
            Stream::Glommio(stream) => stream.shutdown(),
            #[cfg(feature = "testing")]
            Stream::Manual(stream) => stream.shutdown(),
        }
    }
}
