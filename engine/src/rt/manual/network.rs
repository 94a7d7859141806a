//! Connections of tests: both ends are here, the other one is held by the test.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};

use crate::rt::stream::{Writer, Wrote};

/// What both ends of a connection share.
#[derive(Default)]
struct Pipe {
    /// Bytes for the stream, chunk by chunk.
    to_stream: RefCell<VecDeque<Bytes>>,
    /// Bytes that the stream has sent.
    from_stream: RefCell<BytesMut>,
    /// How many bytes the stream may still send; then it waits.
    room: Cell<usize>,
    /// The remote has closed: after its bytes the stream reads the end.
    is_closed: Cell<bool>,
    /// The stream was shut down, or dropped.
    is_shut_down: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Rc<dyn Writer>>>,
}

impl Pipe {
    fn wake_reader(&self) {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes what the writer has, as far as there is room.
    fn flush(&self) {
        loop {
            let Some(writer) = self.writer.take() else { return };
            if self.is_shut_down.get() {
                return;
            }
            if self.is_closed.get() {
                return writer.wrote(Wrote::Failed(io::ErrorKind::BrokenPipe.into()));
            }
            let (mut taken, mut wanted) = (0, 0);
            writer.gather(&mut |slices: &[IoSlice<'_>]| {
                for slice in slices {
                    wanted += slice.len();
                    let count = slice.len().min(self.room.get());
                    self.from_stream.borrow_mut().extend_from_slice(&slice[..count]);
                    self.room.set(self.room.get() - count);
                    taken += count;
                }
            });
            if wanted == 0 {
                return;
            }
            let is_full = taken < wanted;
            // There may be more than one gathering gives; and what is left waits for room.
            self.writer.borrow_mut().get_or_insert_with(|| Rc::clone(&writer));
            writer.wrote(Wrote::Some {
                bytes: taken,
                is_full,
            });
            if is_full {
                return;
            }
        }
    }
}

/// An attempt to connect that waits for the test.
pub(crate) struct Dial {
    /// Where it leads.
    pub(crate) address: SocketAddr,
    outcome: Rc<RefCell<Option<io::Result<Rc<Pipe>>>>>,
    waker: Rc<RefCell<Option<Waker>>>,
}

thread_local! {
    static DIALS: RefCell<Vec<Dial>> = const { RefCell::new(Vec::new()) };
}

/// Takes the attempts to connect that have begun since it was asked last.
pub(crate) fn dials() -> Vec<Dial> {
    DIALS.take()
}

impl Dial {
    fn complete(self, outcome: io::Result<Rc<Pipe>>) {
        *self.outcome.borrow_mut() = Some(outcome);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Lets it succeed; the test gets the other end.
    pub(crate) fn accept(self) -> Remote {
        let pipe = Rc::new(Pipe::default());
        pipe.room.set(usize::MAX);
        self.complete(Ok(Rc::clone(&pipe)));
        Remote(pipe)
    }

    /// Lets it fail.
    pub(crate) fn refuse(self) {
        self.complete(Err(io::ErrorKind::ConnectionRefused.into()));
    }
}

/// The test's end of a connection.
pub(crate) struct Remote(Rc<Pipe>);

impl Remote {
    /// Sends bytes to the stream, as one chunk.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.0
            .to_stream
            .borrow_mut()
            .push_back(Bytes::copy_from_slice(bytes));
        self.0.wake_reader();
    }

    /// Takes what the stream has sent.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.0.from_stream.take().to_vec()
    }

    /// Takes only so many bytes more from the stream.
    pub(crate) fn set_room(&self, bytes: usize) {
        self.0.room.set(bytes);
        self.0.flush();
    }

    /// Closes the connection: the stream reads the end after what was sent.
    pub(crate) fn close(&self) {
        self.0.is_closed.set(true);
        self.0.wake_reader();
        // What waits to be written fails.
        self.0.flush();
    }

    /// Whether the stream was shut down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.0.is_shut_down.get()
    }
}

/// The engine's end of a connection.
pub(crate) struct Stream(Rc<Pipe>);

impl Stream {
    pub(in crate::rt) async fn connect(address: SocketAddr) -> io::Result<Stream> {
        let outcome: Rc<RefCell<Option<io::Result<Rc<Pipe>>>>> = Rc::default();
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        DIALS.with_borrow_mut(|dials| {
            dials.push(Dial {
                address,
                outcome: Rc::clone(&outcome),
                waker: Rc::clone(&waker),
            });
        });
        poll_fn(|context| match outcome.borrow_mut().take() {
            Some(outcome) => Poll::Ready(outcome.map(Stream)),
            None => {
                *waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// A connection that was accepted, and the test's end of it.
    pub(crate) fn accepted() -> (Stream, Remote) {
        let pipe = Rc::new(Pipe::default());
        pipe.room.set(usize::MAX);
        (Stream(Rc::clone(&pipe)), Remote(pipe))
    }

    fn is_readable(&self) -> bool {
        !self.0.to_stream.borrow().is_empty() || self.0.is_closed.get() || self.0.is_shut_down.get()
    }

    pub(in crate::rt) async fn readable(&self) -> io::Result<bool> {
        let mut has_waited = false;
        poll_fn(|context| {
            if self.is_readable() {
                return Poll::Ready(Ok(has_waited));
            }
            has_waited = true;
            *self.0.reader.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(in crate::rt) fn try_read(&self) -> io::Result<Bytes> {
        let chunk = self.0.to_stream.borrow_mut().pop_front();
        match chunk {
            Some(chunk) => Ok(chunk),
            None if self.is_readable() => Ok(Bytes::new()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(in crate::rt) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        let mut chunk = self.try_read()?;
        let count = chunk.len().min(bytes_max);
        buffer.extend_from_slice(&chunk[..count]);
        chunk.advance(count);
        if !chunk.is_empty() {
            self.0.to_stream.borrow_mut().push_front(chunk);
        }
        Ok(count)
    }

    pub(in crate::rt) fn write(&self, writer: &Rc<dyn Writer>) {
        *self.0.writer.borrow_mut() = Some(Rc::clone(writer));
        self.0.flush();
    }

    pub(in crate::rt) fn discard(&self) {
        self.0.to_stream.borrow_mut().clear();
    }

    pub(in crate::rt) fn release(&self) -> io::Result<(OwnedFd, Bytes)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::rt) fn shutdown(&self) {
        self.0.is_shut_down.set(true);
        self.0.wake_reader();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.is_shut_down.set(true);
    }
}
