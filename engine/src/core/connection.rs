//! A link with its socket: has what the link has written, and knows when the socket takes no more.
//!
//! Invariants: the link is never borrowed while anything else runs; a failed write shuts the stream down and wakes its
//! reader, which then sees the end and is the only place where a connection is taken apart.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;
use skyring_codec::Millis;

use crate::core::ShardCore;
use crate::core::clock;
use crate::core::router::Flush;
use crate::error::Text;
use crate::rt::notify::Notify;
use crate::rt::stream::{Stream, Writer, Wrote};

/// Messages after which the output is written without waiting for the end of the turn. Both ends of a
/// connection then work at the same time: with one write for each turn, and as many calls in flight as one turn takes,
/// they were measured to take turns, and to make half as many calls.
const MESSAGES_PER_WRITE: u32 = 128;

/// The part of a link that carries bytes.
pub(crate) trait LinkIo {
    /// Takes the next bytes of the stream.
    fn receive(&mut self, chunk: Bytes);
    /// Where they may go without a chunk, and how many.
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)>;
    /// What to write next.
    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;
    /// So many bytes of it were written.
    fn transmitted(&mut self, count: usize);
    /// The peer shows a sign of life that [`LinkIo::receive`] does not see: it took bytes after it had taken
    /// none for a while, or its bytes went straight into their place. For those that watch their peer.
    fn note_progress(&mut self) {}
}

/// A link and the stream that carries it now, if any.
pub(crate) struct Connection<L> {
    pub(crate) link: RefCell<L>,
    stream: RefCell<Option<Rc<Stream>>>,
    /// The stream was shut down from this side, or a write failed: nothing more is written.
    ended: Cell<bool>,
    /// It is in the shard's list of connections to flush.
    listed: Cell<bool>,
    /// Messages that were put since the last write; see `message_put`.
    unwritten: Cell<u32>,
    /// The socket has taken no bytes since this time although there are some.
    blocked_since: Cell<Option<Millis>>,
    /// Why a write failed, for whoever takes the connection apart.
    write_error: RefCell<Option<Text>>,
    /// Woken whenever bytes were written, and when none will be any more.
    pub(crate) written: Notify,
}

impl<L: LinkIo + 'static> Connection<L> {
    pub(crate) fn new(link: L) -> Rc<Connection<L>> {
        Rc::new(Connection {
            link: RefCell::new(link),
            stream: RefCell::new(None),
            ended: Cell::new(false),
            listed: Cell::new(false),
            unwritten: Cell::new(0),
            blocked_since: Cell::new(None),
            write_error: RefCell::new(None),
            written: Notify::default(),
        })
    }

    /// Starts using a stream.
    pub(crate) fn attach(&self, stream: Rc<Stream>) {
        self.ended.set(false);
        self.blocked_since.set(None);
        self.write_error.borrow_mut().take();
        *self.stream.borrow_mut() = Some(stream);
    }

    /// Lets go of the stream; says why a write failed, if one did.
    pub(crate) fn detach(&self) -> Option<Text> {
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream {
            stream.shutdown();
        }
        self.blocked_since.set(None);
        self.write_error.borrow_mut().take()
    }

    /// Lets go of the stream without ending its connection, which somebody else goes on with.
    pub(crate) fn forget(&self) {
        self.stream.borrow_mut().take();
        self.blocked_since.set(None);
    }

    /// Shuts the stream down, so that its reader sees the end.
    pub(crate) fn shutdown(&self) {
        self.shut(Stream::shutdown);
        // Its reader may be waiting for room, which there will not be.
        self.written.wake();
    }

    /// Writes nothing more, and says so to the peer, which gets all that was written before.
    pub(crate) fn close_for_writing(&self) {
        self.shut(Stream::finish);
        self.written.wake();
    }

    /// What the stream was to write before is written first, as far as the socket takes it.
    fn shut(&self, shut: impl FnOnce(&Stream)) {
        let stream = self.stream.borrow().clone();
        if let Some(stream) = stream
            && !self.ended.get()
        {
            shut(&stream);
        }
        self.ended.set(true);
    }

    /// Writes what there is, as far as the socket takes it at once, and then shuts the stream down.
    pub(crate) fn shutdown_after_writing(self: &Rc<Self>) {
        self.write_now();
        self.shutdown();
    }

    /// Whether a stream carries it that still takes bytes. A reader that waits for room must look:
    /// otherwise it waits for ever.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.borrow().is_some() && !self.ended.get()
    }

    /// Since when the socket has taken no bytes although there are some.
    pub(crate) fn blocked_since(&self) -> Option<Millis> {
        self.blocked_since.get()
    }

    /// Has the output written at the end of the turn.
    pub(crate) fn flush_later(self: &Rc<Self>, shard: &Rc<ShardCore>) {
        if !self.listed.replace(true) {
            shard.flush_later(Rc::clone(self) as Rc<dyn Flush>);
        }
    }

    /// A message was put: it is written at the end of the turn, or at once when many are. What the link says of its own
    /// does not count, so that an acknowledgement never splits what would have been one write.
    #[inline]
    pub(crate) fn message_put(self: &Rc<Self>, shard: &Rc<ShardCore>) {
        self.flush_later(shard);
        let unwritten = self.unwritten.get() + 1;
        self.unwritten.set(unwritten);
        if unwritten >= MESSAGES_PER_WRITE {
            self.write_now();
        }
    }

    /// Writes what there is, as far as the socket takes it, and leaves the rest to the stream.
    pub(crate) fn write_now(self: &Rc<Self>) {
        self.write(Stream::write_now);
    }

    fn write(self: &Rc<Self>, write: impl FnOnce(&Stream, &Rc<dyn Writer>)) {
        self.unwritten.set(0);
        if self.blocked_since.get().is_some() || self.ended.get() {
            return;
        }
        let stream = self.stream.borrow().clone();
        if let Some(stream) = stream {
            write(&stream, &(Rc::clone(self) as Rc<dyn Writer>));
        }
    }

    /// Reads what is there into the link, once there is something. False at the end of the stream; the flag
    /// beside it says whether it had to wait.
    pub(crate) async fn read(&self, stream: &Stream, shard: &ShardCore) -> io::Result<(bool, bool)> {
        let mut waited = false;
        loop {
            waited |= stream.readable().await?;
            if !self.carries(stream) {
                // Another stream carries the link now, and this one's bytes are nothing to it.
                return Ok((false, waited));
            }
            let read = {
                let mut link = self.link.borrow_mut();
                match link.room() {
                    Some((payload, bytes_max)) => {
                        let read = stream.try_read_into(payload, bytes_max);
                        if read.as_ref().is_ok_and(|count| *count > 0) {
                            link.note_progress();
                        }
                        read.map(|count| count > 0)
                    }
                    None => stream.try_read(&shard.read_buffer).map(|chunk| {
                        let is_some = !chunk.is_empty();
                        link.receive(chunk);
                        is_some
                    }),
                }
            };
            match read {
                Ok(is_open) => return Ok((is_open, waited)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        self.write_error
            .borrow_mut()
            .get_or_insert_with(|| error.to_string().into());
        self.shutdown();
    }

    /// Whether this stream carries the link.
    pub(crate) fn uses(&self, stream: &Rc<Stream>) -> bool {
        self.carries(stream)
    }

    #[inline]
    fn carries(&self, stream: &Stream) -> bool {
        let used = self.stream.borrow();
        used.as_ref().is_some_and(|used| std::ptr::eq(&**used, stream))
    }
}

impl<L: LinkIo + 'static> Writer for Connection<L> {
    fn gather(&self, write: &mut dyn FnMut(&[IoSlice<'_>])) {
        if !self.is_open() {
            return;
        }
        let link = self.link.borrow();
        let mut slices = [IoSlice::new(&[]); Wrote::SLICES_MAX];
        let count = link.transmit(&mut slices);
        write(&slices[..count]);
    }

    fn wrote(&self, outcome: Wrote) {
        let (bytes, is_full) = match outcome {
            Wrote::Some { bytes, is_full } => (bytes, is_full),
            Wrote::Failed(error) => return self.fail(&error),
        };
        let was_full = self.blocked_since.get().is_some();
        if bytes > 0 {
            let mut link = self.link.borrow_mut();
            link.transmitted(bytes);
            if was_full {
                link.note_progress();
            }
        }
        if !is_full {
            self.blocked_since.set(None);
        } else if bytes > 0 || !was_full {
            self.blocked_since.set(Some(clock::now_ms()));
        }
        self.written.wake();
    }
}

impl<L: LinkIo + 'static> Flush for Connection<L> {
    fn flush(self: Rc<Self>, _shard: &Rc<ShardCore>) {
        self.listed.set(false);
        self.write(Stream::write);
    }
}
