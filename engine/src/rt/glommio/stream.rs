//! A TCP connection on glommio's executor.
//!
//! Reads are tried at once, and wait for the executor when there is nothing; what such a wait brings is kept here until
//! it is read. Writes are tried at once, and a task writes the rest when the socket takes more.
//!
//! Invariants: dropping a read or a wait loses no bytes; at most one task writes; an idle stream holds no buffer.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::{SockRef, Socket};

use super::tasks;
use crate::rt::connecting::{begin_connect, check_connected};
use crate::rt::read_buffer::ReadBuffer;
use crate::rt::socket_options::{discard_unread, watch_host};
use crate::rt::stream::{Writer, Wrote};
use crate::rt::sys;

/// Bytes that a wait for more may bring.
const AWAITED_BYTES_MAX: usize = 16 << 10;

thread_local! {
    /// What waits read into: they bring bytes with them.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; AWAITED_BYTES_MAX]);
}

/// Who may read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// There may be something to read.
    Ready,
    /// All that was there was read, or is in `arrived`.
    Drained,
    /// The peer has sent all that it will.
    Ended,
    /// The connection belongs to another stream now.
    Released,
}

struct Inner {
    stream: RefCell<TcpStream>,
    /// Bytes that a wait has brought.
    arrived: RefCell<BytesMut>,
    reading: Cell<Reading>,
    /// What has bytes that the socket did not take; a task writes for it.
    writer: RefCell<Option<Rc<dyn Writer>>>,
}

/// One TCP connection, bound to this thread's executor.
pub(crate) struct Stream(Rc<Inner>);

impl Stream {
    pub(in crate::rt) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        // A socket that died between accept and here reports its error at the first read.
        let _ = SockRef::from(&socket).set_tcp_nodelay(true);
        Stream::new(socket.into())
    }

    pub(in crate::rt) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        let stream = Stream::new(begin_connect(peer)?)?;
        // A write of nothing to a socket that still connects would block, so it becomes ready when the
        // connection is up, and fails when it has failed.
        let inner = &stream.0;
        poll_fn(|context| Pin::new(&mut *inner.stream.borrow_mut()).poll_write(context, &[])).await?;
        check_connected(&sys::borrow(&*inner.stream.borrow()), peer)?;
        Ok(stream)
    }

    fn new(socket: Socket) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        watch_host(&socket);
        Ok(Stream(Rc::new(Inner {
            stream: RefCell::new(sys::glommio_tcp_stream(socket)),
            arrived: RefCell::default(),
            reading: Cell::new(Reading::Ready),
            writer: RefCell::default(),
        })))
    }

    pub(in crate::rt) async fn readable(&self) -> io::Result<bool> {
        let mut has_waited = false;
        poll_fn(|context| {
            let ready = self.0.poll_readable(context);
            has_waited |= ready.is_pending();
            ready.map_ok(|()| has_waited)
        })
        .await
    }

    pub(in crate::rt) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        buffer.fill(|room, bytes_max| self.0.read(room, bytes_max))
    }

    pub(in crate::rt) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        self.0.read(buffer, bytes_max)
    }

    pub(in crate::rt) fn discard(&self) {
        self.0.arrived.take();
        discard_unread(&sys::borrow(&*self.0.stream.borrow()));
    }

    pub(in crate::rt) fn acknowledge_now(&self) {
        let _ = self.0.with_socket(|socket| socket.set_tcp_quickack(true));
    }

    /// Writes what the socket takes at once; a task writes the rest.
    pub(in crate::rt) fn write(&self, writer: &Rc<dyn Writer>) {
        // A task that waits for the socket asks this writer when its turn comes.
        if self.0.writer.replace(Some(Rc::clone(writer))).is_some() {
            return;
        }
        if !self.0.write_now() {
            tasks::spawn(Rc::clone(&self.0).write_blocked());
        }
    }

    pub(in crate::rt) fn release(&self) -> io::Result<(OwnedFd, Bytes)> {
        let descriptor = sys::borrow(&*self.0.stream.borrow()).try_clone_to_owned()?;
        self.0.reading.set(Reading::Released);
        Ok((descriptor, self.0.arrived.take().freeze()))
    }

    pub(in crate::rt) fn finish(&self) {
        self.0.writer.take();
        let _ = self.0.with_socket(|socket| socket.shutdown(Shutdown::Write));
    }

    pub(in crate::rt) fn shutdown(&self) {
        self.0.writer.take();
        // Ends the waits for the socket too.
        let _ = self.0.with_socket(|socket| socket.shutdown(Shutdown::Both));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A task that still writes ends, and closes the socket, when the socket takes more or is shut down.
        if self.0.reading.get() != Reading::Released && self.0.writer.take().is_some() {
            self.shutdown();
        }
    }
}

impl Inner {
    fn with_socket<T>(&self, use_socket: impl FnOnce(SockRef<'_>) -> T) -> T {
        let stream = self.stream.borrow();
        let socket = sys::borrow(&*stream);
        use_socket(SockRef::from(&socket))
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.reading.get() {
            Reading::Ready | Reading::Ended => return Poll::Ready(Ok(())),
            Reading::Released => return Poll::Pending,
            Reading::Drained => {}
        }
        if !self.arrived.borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let read = Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, scratch);
            read.map_ok(|count| {
                self.arrived.borrow_mut().put_slice(&scratch[..count]);
                self.note_read(count, count == scratch.len());
            })
        })
    }

    /// Notes what a read says of the next one: one that brought less than there was room for took all.
    fn note_read(&self, count: usize, is_full: bool) {
        self.reading.set(match count {
            0 => Reading::Ended,
            _ if is_full => Reading::Ready,
            _ => Reading::Drained,
        });
    }

    /// Reads what is there; `WouldBlock` when there is nothing.
    fn read(&self, buffer: &mut impl BufMut, bytes_max: usize) -> io::Result<usize> {
        let mut count = 0;
        {
            let mut arrived = self.arrived.borrow_mut();
            if !arrived.is_empty() {
                count = arrived.len().min(bytes_max);
                buffer.put_slice(&arrived[..count]);
                arrived.advance(count);
                if arrived.is_empty() {
                    // An idle stream holds no memory.
                    *arrived = BytesMut::new();
                }
            }
        }
        let room = bytes_max - count;
        if count > 0 && (room == 0 || self.reading.get() != Reading::Ready) {
            return Ok(count);
        }
        match self.reading.get() {
            Reading::Ended => return Ok(0),
            Reading::Released => return Err(io::ErrorKind::NotConnected.into()),
            Reading::Ready | Reading::Drained => {}
        }
        match sys::receive(&sys::borrow(&*self.stream.borrow()), buffer, room) {
            Ok((more, is_full)) => {
                self.note_read(more, is_full);
                Ok(count + more)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.reading.set(Reading::Drained);
                if count > 0 { Ok(count) } else { Err(error) }
            }
            // What was read before an error comes first; the next read meets the error again.
            Err(_) if count > 0 => Ok(count),
            Err(error) => Err(error),
        }
    }

    /// Writes what the writer has, as far as the socket takes it; false when it takes no more.
    fn write_now(&self) -> bool {
        loop {
            let Some(writer) = self.writer.take() else {
                return true;
            };
            let (mut wanted, mut outcome) = (0, Ok(0));
            writer.gather(&mut |slices: &[IoSlice<'_>]| {
                wanted = slices.iter().map(|slice| slice.len()).sum();
                if wanted > 0 {
                    outcome = self.with_socket(|socket| {
                        socket.send_vectored_with_flags(slices, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                    });
                }
            });
            if wanted == 0 {
                return true;
            }
            match outcome {
                Ok(bytes) => {
                    self.writer.borrow_mut().get_or_insert_with(|| Rc::clone(&writer));
                    let is_full = bytes < wanted;
                    writer.wrote(Wrote::Some { bytes, is_full });
                    if is_full {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.writer.borrow_mut().get_or_insert_with(|| writer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writer.borrow_mut().get_or_insert_with(|| Rc::clone(&writer));
                    writer.wrote(Wrote::Some {
                        bytes: 0,
                        is_full: true,
                    });
                    return false;
                }
                Err(error) => {
                    writer.wrote(Wrote::Failed(error));
                    return true;
                }
            }
        }
    }

    /// Writes whenever the socket takes more, until nothing is left.
    async fn write_blocked(self: Rc<Self>) {
        loop {
            let Some(writer) = self.writer.borrow().clone() else {
                return;
            };
            // Waiting for room takes a write that finds none.
            let written = poll_fn(|context| {
                let mut polled = Poll::Ready(Ok(0));
                writer.gather(&mut |slices: &[IoSlice<'_>]| {
                    if let Some(slice) = slices.iter().find(|slice| !slice.is_empty()) {
                        polled = Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, slice);
                    }
                });
                polled
            })
            .await;
            if self.writer.borrow().is_none() {
                return;
            }
            match written {
                Ok(0) => {
                    self.writer.take();
                    return;
                }
                Ok(bytes) => writer.wrote(Wrote::Some {
                    bytes,
                    is_full: false,
                }),
                Err(error) => {
                    self.writer.take();
                    return writer.wrote(Wrote::Failed(error));
                }
            }
            if self.write_now() {
                return;
            }
        }
    }
}
