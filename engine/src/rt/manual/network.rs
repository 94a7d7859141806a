//! Connections of tests: both ends are here, the other one is held by the test.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};

use super::executor::{self, within};
use super::place::PlaceId;
use crate::rt::stream::{Writer, Wrote};

/// What both ends of a connection share.
#[derive(Default)]
struct Pipe {
    number: u64,
    /// The place of the stream.
    place: Cell<PlaceId>,
    /// Something has happened at the stream's end since the test has asked last.
    is_touched: Cell<bool>,
    /// Bytes for the stream, chunk by chunk.
    to_stream: RefCell<VecDeque<Bytes>>,
    /// How many they are.
    unread: Cell<usize>,
    /// Bytes that the stream has sent.
    from_stream: RefCell<BytesMut>,
    /// How many bytes the stream may still send; then it waits.
    room: Cell<usize>,
    /// The remote sends nothing more: after its bytes the stream reads the end.
    is_finished: Cell<bool>,
    /// The remote has closed: what the stream writes fails, too.
    is_closed: Cell<bool>,
    /// Why the connection broke: the stream reads it once.
    failure: Cell<Option<io::ErrorKind>>,
    /// The stream sends nothing more.
    has_finished: Cell<bool>,
    /// The stream was shut down, or dropped.
    is_shut_down: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Rc<dyn Writer>>>,
}

impl Pipe {
    fn new() -> Rc<Pipe> {
        let number = NEXT.with(|next| next.replace(next.get() + 1));
        let pipe = Pipe {
            number,
            ..Pipe::default()
        };
        pipe.room.set(usize::MAX);
        pipe.place.set(executor::current());
        Rc::new(pipe)
    }

    fn touch(&self) {
        if !self.is_touched.replace(true) {
            // The thread may be ending.
            let _ = TOUCHED.try_with(|touched| touched.borrow_mut().push(self.number));
        }
    }

    fn shut_down(&self) {
        self.is_shut_down.set(true);
        self.touch();
    }

    fn wake_reader(&self) {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes what the writer has, as far as there is room.
    fn flush(&self) {
        loop {
            let Some(writer) = self.writer.take() else { return };
            if self.is_shut_down.get() || self.has_finished.get() {
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
            self.touch();
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
    /// Where it began.
    pub(crate) place: PlaceId,
    /// Where it leads.
    pub(crate) address: SocketAddr,
    outcome: Rc<RefCell<Option<io::Result<Rc<Pipe>>>>>,
    waker: Rc<RefCell<Option<Waker>>>,
}

thread_local! {
    static DIALS: RefCell<Vec<Dial>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// The pipes at whose stream's end something has happened.
    static TOUCHED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// Accepted and released connections that no stream has adopted yet.
    static SOCKETS: RefCell<BTreeMap<u64, Rc<Pipe>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forgets what was not taken, and numbers connections from 0 again.
pub(super) fn reset() {
    drop((DIALS.take(), TOUCHED.take(), SOCKETS.take()));
    NEXT.set(0);
}

/// Takes the [numbers](Remote::number) of the connections whose stream has written, read, finished or ended since it was
/// asked last.
pub(crate) fn touched() -> Vec<u64> {
    TOUCHED.take()
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
        let pipe = within(self.place, Pipe::new);
        self.complete(Ok(Rc::clone(&pipe)));
        Remote(pipe)
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.outcome) == 1
    }

    /// Lets it fail.
    pub(crate) fn refuse(self) {
        self.complete(Err(io::ErrorKind::ConnectionRefused.into()));
    }
}

/// A connection that no stream has adopted. Dropping it closes the connection.
pub(crate) struct Socket(u64);

impl Socket {
    fn new(pipe: &Rc<Pipe>) -> Socket {
        SOCKETS.with_borrow_mut(|sockets| sockets.insert(pipe.number, Rc::clone(pipe)));
        Socket(pipe.number)
    }

    /// A connection that was accepted, and the test's end of it.
    pub(super) fn accepted() -> (Socket, Remote) {
        let pipe = Pipe::new();
        (Socket::new(&pipe), Remote(pipe))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The thread may be ending.
        let waiting = SOCKETS.try_with(|sockets| sockets.borrow_mut().remove(&self.0));
        if let Ok(Some(pipe)) = waiting {
            pipe.shut_down();
        }
    }
}

/// The test's end of a connection.
pub(crate) struct Remote(Rc<Pipe>);

impl Remote {
    /// The number by which [`touched`] names the connection.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// Forgets that something has happened: [`touched`] names the connection again.
    pub(crate) fn begin_look(&self) {
        self.0.is_touched.set(false);
    }

    /// Sends bytes to the stream, as one chunk.
    #[cfg(test)]
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.send_bytes(Bytes::copy_from_slice(bytes));
    }

    /// The same without a copy.
    pub(crate) fn send_bytes(&self, bytes: Bytes) {
        self.0.unread.set(self.0.unread.get() + bytes.len());
        self.0.to_stream.borrow_mut().push_back(bytes);
        self.0.wake_reader();
    }

    /// How many bytes the stream has not read.
    pub(crate) fn unread(&self) -> usize {
        self.0.unread.get()
    }

    /// Takes what the stream has sent.
    pub(crate) fn received(&self) -> Bytes {
        self.0.from_stream.take().freeze()
    }

    /// Takes only so many bytes more from the stream.
    pub(crate) fn set_room(&self, bytes: usize) {
        self.0.room.set(bytes);
        within(self.0.place.get(), || self.0.flush());
    }

    /// Sends nothing more: the stream reads the end after what was sent, and may still write.
    pub(crate) fn finish(&self) {
        self.0.is_finished.set(true);
        self.0.wake_reader();
    }

    /// Closes the connection: the stream reads the end after what was sent.
    pub(crate) fn close(&self) {
        self.finish();
        self.0.is_closed.set(true);
        // What waits to be written fails.
        within(self.0.place.get(), || self.0.flush());
    }

    /// Breaks the connection: what the stream has not read is lost, and it reads the error.
    pub(crate) fn fail(&self, cause: io::ErrorKind) {
        self.0.to_stream.borrow_mut().clear();
        self.0.unread.set(0);
        self.0.failure.set(Some(cause));
        self.close();
    }

    /// Whether the stream sends nothing more.
    pub(crate) fn has_finished(&self) -> bool {
        self.0.has_finished.get() || self.is_shut_down()
    }

    /// Whether the stream was shut down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.0.is_shut_down.get()
    }
}

/// The engine's end of a connection.
pub(crate) struct Stream {
    pipe: Rc<Pipe>,
    /// Another owner has the connection.
    is_released: Cell<bool>,
}

impl Stream {
    fn new(pipe: Rc<Pipe>) -> Stream {
        pipe.place.set(executor::current());
        Stream {
            pipe,
            is_released: Cell::new(false),
        }
    }

    pub(in crate::rt) async fn connect(address: SocketAddr) -> io::Result<Stream> {
        let outcome: Rc<RefCell<Option<io::Result<Rc<Pipe>>>>> = Rc::default();
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        DIALS.with_borrow_mut(|dials| {
            dials.push(Dial {
                place: executor::current(),
                address,
                outcome: Rc::clone(&outcome),
                waker: Rc::clone(&waker),
            });
        });
        poll_fn(|context| match outcome.borrow_mut().take() {
            Some(outcome) => Poll::Ready(outcome.map(Stream::new)),
            None => {
                *waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// A connection that was accepted, and the test's end of it.
    #[cfg(test)]
    pub(crate) fn accepted() -> (Stream, Remote) {
        let pipe = Pipe::new();
        (Stream::new(Rc::clone(&pipe)), Remote(pipe))
    }

    pub(in crate::rt) fn adopt(socket: Socket) -> io::Result<Stream> {
        let waiting = SOCKETS.with_borrow_mut(|sockets| sockets.remove(&socket.0));
        waiting.map(Stream::new).ok_or(io::ErrorKind::NotFound.into())
    }

    fn is_readable(&self) -> bool {
        let pipe = &self.pipe;
        pipe.unread.get() > 0 || pipe.is_finished.get() || pipe.is_shut_down.get()
    }

    pub(in crate::rt) async fn readable(&self) -> io::Result<bool> {
        let mut has_waited = false;
        poll_fn(|context| {
            if self.is_readable() {
                return Poll::Ready(Ok(has_waited));
            }
            has_waited = true;
            *self.pipe.reader.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(in crate::rt) fn try_read(&self) -> io::Result<Bytes> {
        let chunk = self.pipe.to_stream.borrow_mut().pop_front();
        match chunk {
            Some(chunk) => {
                self.pipe.unread.set(self.pipe.unread.get() - chunk.len());
                self.pipe.touch();
                Ok(chunk)
            }
            None => match self.pipe.failure.take() {
                Some(cause) => Err(cause.into()),
                None if self.is_readable() => Ok(Bytes::new()),
                None => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    pub(in crate::rt) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        let mut chunk = self.try_read()?;
        let count = chunk.len().min(bytes_max);
        buffer.extend_from_slice(&chunk[..count]);
        chunk.advance(count);
        if !chunk.is_empty() {
            self.pipe.unread.set(self.pipe.unread.get() + chunk.len());
            self.pipe.to_stream.borrow_mut().push_front(chunk);
        }
        Ok(count)
    }

    pub(in crate::rt) fn write(&self, writer: &Rc<dyn Writer>) {
        *self.pipe.writer.borrow_mut() = Some(Rc::clone(writer));
        self.pipe.flush();
    }

    pub(in crate::rt) fn discard(&self) {
        self.take_unread();
    }

    fn take_unread(&self) -> Bytes {
        let mut unread = BytesMut::new();
        for chunk in self.pipe.to_stream.take() {
            unread.extend_from_slice(&chunk);
        }
        self.pipe.unread.set(0);
        self.pipe.touch();
        unread.freeze()
    }

    pub(in crate::rt) fn release(&self) -> (crate::rt::socket::Socket, Bytes) {
        self.is_released.set(true);
        let unread = self.take_unread();
        let socket = Socket::new(&self.pipe);
        (crate::rt::socket::Socket::Manual(socket), unread)
    }

    pub(in crate::rt) fn finish(&self) {
        self.pipe.has_finished.set(true);
        self.pipe.touch();
    }

    pub(in crate::rt) fn shutdown(&self) {
        if !self.is_released.get() {
            self.pipe.shut_down();
            self.pipe.wake_reader();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_released.get() {
            self.pipe.shut_down();
        }
    }
}
