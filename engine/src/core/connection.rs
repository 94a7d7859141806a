//! A link and its socket: reads into the link, and writes the link's output, as far as the socket accepts it.
//!
//! Invariants: the link is never borrowed while other code runs; a failed write shuts the stream down and wakes its
//! reader, which then sees the end. Only the reader ends a connection.

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
use crate::tls::{Shell, ShellEvent, TlsFault};

/// Messages after which the output is written without waiting for the end of the turn, so that both ends of a
/// connection work at the same time. With only one write a turn, and as many calls in flight as one turn handles, the
/// two ends were measured to work alternately, at half the rate.
const MESSAGES_PER_WRITE: u32 = 128;

/// The link I/O: the part of a link that reads and writes bytes.
pub(crate) trait LinkIo {
    /// Accepts the next bytes of the stream.
    fn receive(&mut self, chunk: Bytes);
    /// The buffer for the next bytes of a large message, and how many it may take; `None`: they go to `receive`.
    fn room(&mut self) -> Option<(&mut Vec<u8>, usize)>;
    /// Fills the slices with the next bytes to write; returns their number.
    fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;
    /// Removes bytes that were written.
    fn transmitted(&mut self, count: usize);
    /// Removes bytes that the shell has taken. Those of the output that still wait in it are told later.
    fn sealed(&mut self, count: usize) {
        self.transmitted(count);
    }
    /// Counts bytes as written that the shell had taken. For links that count what waits.
    fn sealed_written(&mut self, _count: usize) {}
    /// Records a sign of life that [`LinkIo::receive`] does not see: the peer accepted bytes after a pause, or its
    /// bytes were read into [`LinkIo::room`]. For links that watch their peer.
    fn note_progress(&mut self) {}
}

/// Why reading has failed.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The socket's error.
    Io(io::Error),
    /// The peer has not proved who it is, or its bytes are not right.
    Tls(TlsFault),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// A link and its stream, if it has one.
pub(crate) struct Connection<L> {
    pub(crate) link: RefCell<L>,
    stream: RefCell<Option<Rc<Stream>>>,
    /// What the bytes between them pass through; `None` where they pass as they are.
    shell: RefCell<Option<Box<Shell>>>,
    /// This side has shut the stream down, or a write failed: nothing more is written.
    ended: Cell<bool>,
    /// It is in the shard's list of connections to flush.
    listed: Cell<bool>,
    /// Messages that were queued since the last write; see `message_queued`.
    unwritten: Cell<u32>,
    /// Since when the socket has accepted no bytes although there is output.
    blocked_since: Cell<Option<Millis>>,
    /// Why a write failed, for the reader, which ends the connection.
    write_error: RefCell<Option<Text>>,
    bytes_read: Cell<u64>,
    bytes_written: Cell<u64>,
    writes: Cell<u64>,
    /// Woken whenever bytes were written, and when no more will be.
    pub(crate) written: Notify,
}

impl<L: LinkIo + 'static> Connection<L> {
    pub(crate) fn new(link: L) -> Rc<Connection<L>> {
        Rc::new(Connection {
            link: RefCell::new(link),
            stream: RefCell::new(None),
            shell: RefCell::new(None),
            ended: Cell::new(false),
            listed: Cell::new(false),
            unwritten: Cell::new(0),
            blocked_since: Cell::new(None),
            write_error: RefCell::new(None),
            bytes_read: Cell::new(0),
            bytes_written: Cell::new(0),
            writes: Cell::new(0),
            written: Notify::default(),
        })
    }

    /// Starts using a stream, whose bytes pass through this shell.
    pub(crate) fn attach(&self, stream: Rc<Stream>, shell: Option<Box<Shell>>) {
        *self.shell.borrow_mut() = shell;
        self.ended.set(false);
        self.blocked_since.set(None);
        self.write_error.borrow_mut().take();
        *self.stream.borrow_mut() = Some(stream);
    }

    /// Ends and releases the stream; returns why a write failed, if one did.
    pub(crate) fn detach(&self) -> Option<Text> {
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream {
            stream.shutdown();
        }
        self.shell.borrow_mut().take();
        self.blocked_since.set(None);
        self.take_write_error()
    }

    /// Takes why a write failed, if one did.
    pub(crate) fn take_write_error(&self) -> Option<Text> {
        self.write_error.borrow_mut().take()
    }

    /// Has the bytes of the stream pass through this shell; nothing of it was read or written yet.
    pub(crate) fn set_shell(&self, shell: Box<Shell>) {
        *self.shell.borrow_mut() = Some(shell);
    }

    /// Whether bytes pass through a shell.
    #[inline]
    pub(crate) fn has_shell(&self) -> bool {
        self.shell.borrow().is_some()
    }

    /// What the shell tells; `None` without one.
    pub(crate) fn ask_shell<T>(&self, ask: impl FnOnce(&Shell) -> T) -> Option<T> {
        self.shell.borrow().as_deref().map(ask)
    }

    /// Has the shell say that nothing follows, as far as the socket accepts that at once.
    pub(crate) fn say_goodbye(self: &Rc<Self>) {
        if let Some(shell) = &mut *self.shell.borrow_mut() {
            shell.say_goodbye();
        }
        self.write_now();
    }

    /// Releases the stream without ending its connection, which another owner continues with the shell.
    pub(crate) fn forget(&self) -> Option<Box<Shell>> {
        self.stream.borrow_mut().take();
        self.blocked_since.set(None);
        self.shell.borrow_mut().take()
    }

    /// Whether a TLS handshake has not ended.
    pub(crate) fn is_handshaking(&self) -> bool {
        let shell = self.shell.borrow();
        shell.as_ref().is_some_and(|shell| shell.is_handshaking())
    }

    /// What the last read has told about TLS.
    pub(crate) fn next_shell_event(&self) -> Option<ShellEvent> {
        let mut shell = self.shell.borrow_mut();
        let event = shell.as_mut()?.next_event();
        if event.is_none() && shell.as_ref().is_some_and(|shell| shell.is_plain()) {
            shell.take();
        }
        event
    }

    /// The names that the peer's certificate is for; `None` without TLS.
    pub(crate) fn peer_names(&self) -> Option<Vec<String>> {
        let shell = self.shell.borrow();
        shell.as_ref().map(|shell| shell.peer_names().to_vec())
    }

    /// Whether bytes wait for the socket that are no output of the link any more.
    pub(crate) fn has_sealed(&self) -> bool {
        let shell = self.shell.borrow();
        shell.as_ref().is_some_and(|shell| shell.has_output())
    }

    /// Shuts the stream down, so that its reader sees the end.
    pub(crate) fn shutdown(&self) {
        self.shut_with(Stream::shutdown);
        // Its reader may be waiting for space that will not become free.
        self.written.wake();
    }

    /// Shuts the stream down for writing; the peer still gets everything that was written before.
    pub(crate) fn close_for_writing(&self) {
        self.shut_with(Stream::finish);
        self.written.wake();
    }

    /// Bytes that the stream has accepted are written first, as far as the socket accepts them.
    fn shut_with(&self, shut: impl FnOnce(&Stream)) {
        let stream = self.stream.borrow().clone();
        if let Some(stream) = stream
            && !self.ended.get()
        {
            shut(&stream);
        }
        self.ended.set(true);
    }

    /// Writes the output as far as the socket accepts it at once, and then shuts the stream down.
    pub(crate) fn shutdown_after_writing(self: &Rc<Self>) {
        self.write_now();
        self.shutdown();
    }

    /// Whether it has a stream that still accepts bytes. A reader that waits for space must check this: otherwise it
    /// waits for ever.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.borrow().is_some() && !self.ended.get()
    }

    /// Since when the socket has accepted no bytes although there is output.
    pub(crate) fn blocked_since(&self) -> Option<Millis> {
        self.blocked_since.get()
    }

    /// Schedules the output to be written at the end of the turn.
    pub(crate) fn flush_later(self: &Rc<Self>, shard: &Rc<ShardCore>) {
        if !self.listed.replace(true) {
            shard.flush_later(Rc::clone(self) as Rc<dyn Flush>);
        }
    }

    /// Schedules a queued message to be written: at the end of the turn, or at once when many are queued. The link's
    /// own frames do not count, so that an acknowledgement never splits one write into two.
    #[inline]
    pub(crate) fn message_queued(self: &Rc<Self>, shard: &Rc<ShardCore>) {
        self.flush_later(shard);
        let unwritten = self.unwritten.get() + 1;
        self.unwritten.set(unwritten);
        if unwritten >= MESSAGES_PER_WRITE {
            self.write_now();
        }
    }

    /// Writes the output as far as the socket accepts it, and leaves the rest to the stream.
    pub(crate) fn write_now(self: &Rc<Self>) {
        self.write(Stream::write_now);
    }

    /// Writes why this side ends the connection, if TLS has a way to say it. Nothing of the link goes with it.
    pub(crate) fn write_alert(self: &Rc<Self>) {
        let has_fault = {
            let shell = self.shell.borrow();
            shell.as_ref().is_some_and(|shell| shell.fault().is_some())
        };
        if has_fault {
            self.write_now();
        }
    }

    fn write(self: &Rc<Self>, write: impl FnOnce(&Stream, &Rc<dyn Writer>)) {
        self.unwritten.set(0);
        // A stream that is asked to write and finds nothing would send the next acknowledgement alone.
        if self.blocked_since.get().is_some() || self.ended.get() || !self.has_output() {
            return;
        }
        let stream = self.stream.borrow().clone();
        if let Some(stream) = stream {
            write(&stream, &(Rc::clone(self) as Rc<dyn Writer>));
        }
    }

    fn has_output(&self) -> bool {
        if let Some(shell) = &*self.shell.borrow() {
            if shell.has_output() {
                return true;
            }
            if !shell.is_open() {
                return false;
            }
        }
        let mut first = [IoSlice::new(&[])];
        self.link.borrow().transmit(&mut first) > 0
    }

    /// Waits until the stream is readable, and reads into the link. The first flag is false at the end of the stream;
    /// the second says whether it had to wait.
    pub(crate) async fn read(
        self: &Rc<Self>,
        stream: &Stream,
        shard: &Rc<ShardCore>,
    ) -> Result<(bool, bool), ReadError> {
        let mut waited = false;
        loop {
            waited |= stream.readable().await?;
            if !self.is_current(stream) {
                // The link has another stream now: the bytes of this one are dropped.
                return Ok((false, waited));
            }
            let read = if self.shell.borrow().is_some() {
                match stream.try_read(&shard.read_buffer) {
                    Ok(chunk) => {
                        self.open(&chunk, shard)?;
                        Ok(!chunk.is_empty())
                    }
                    Err(error) => Err(error),
                }
            } else {
                let mut link = self.link.borrow_mut();
                match link.room() {
                    Some((payload, bytes_max)) => {
                        let read = stream.try_read_into(payload, bytes_max);
                        if read.as_ref().is_ok_and(|count| *count > 0) {
                            link.note_progress();
                        }
                        read.map(|count| {
                            self.count_read(count);
                            count > 0
                        })
                    }
                    None => stream.try_read(&shard.read_buffer).map(|chunk| {
                        let is_some = !chunk.is_empty();
                        self.count_read(chunk.len());
                        link.receive(chunk);
                        is_some
                    }),
                }
            };
            match read {
                Ok(is_open) => return Ok((is_open, waited)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Bytes read from and written to its sockets, and the number of writes.
    pub(crate) fn traffic(&self) -> (u64, u64, u64) {
        (self.bytes_read.get(), self.bytes_written.get(), self.writes.get())
    }

    fn count_read(&self, bytes: usize) {
        self.bytes_read.set(self.bytes_read.get() + bytes as u64);
    }

    /// Takes the last bytes of a socket that was released to another owner.
    pub(crate) fn receive_rest(
        self: &Rc<Self>,
        received: Bytes,
        shard: &Rc<ShardCore>,
    ) -> Result<(), ReadError> {
        let is_plain = self.shell.borrow().is_none();
        if is_plain {
            self.link.borrow_mut().receive(received);
            return Ok(());
        }
        self.open(&received, shard)
    }

    /// Takes bytes of the socket through the shell into the link. What the shell answers is written at the end of the
    /// turn.
    fn open(self: &Rc<Self>, chunk: &[u8], shard: &Rc<ShardCore>) -> Result<(), ReadError> {
        let mut chunk = chunk;
        while let Some(opened) = self.open_some(&mut chunk, shard)? {
            self.link.borrow_mut().receive(opened);
        }
        Ok(())
    }

    /// Takes bytes of the socket through the shell, and returns some of what they say; `None` when that is all.
    ///
    /// # Errors
    /// [`ReadError::Tls`], after what was said before it.
    pub(crate) fn open_some(
        self: &Rc<Self>,
        chunk: &mut &[u8],
        shard: &Rc<ShardCore>,
    ) -> Result<Option<Bytes>, ReadError> {
        let mut shell = self.shell.borrow_mut();
        let Some(shell) = shell.as_mut() else {
            return Ok(None);
        };
        let was_handshaking = shell.is_handshaking();
        let mut is_done = false;
        let mut opened = Bytes::new();
        while opened.is_empty() && !is_done {
            // Payloads are slices of the read buffer, as without TLS.
            opened = shard.read_buffer.fill(|out, bytes_max| {
                is_done = shell.open(chunk, out, bytes_max);
                Ok::<_, ReadError>(out.len())
            })?;
        }
        // The end of the handshake lets the link's output go.
        if shell.has_output() || was_handshaking && shell.is_open() {
            self.flush_later(shard);
        }
        match shell.fault() {
            _ if !opened.is_empty() => Ok(Some(opened)),
            Some(fault) => Err(ReadError::Tls(fault.clone())),
            None => Ok(None),
        }
    }

    /// Seals output of the link as far as there is room; returns whether there may be more.
    fn seal(&self, shell: &mut Shell) -> bool {
        if !shell.is_open() {
            return false;
        }
        let mut link = self.link.borrow_mut();
        loop {
            let mut slices = [IoSlice::new(&[]); Wrote::SLICES_MAX];
            let count = link.transmit(&mut slices);
            if count == 0 {
                return false;
            }
            let sealed = shell.seal(&slices[..count]);
            if sealed == 0 {
                return true;
            }
            link.sealed(sealed);
        }
    }

    fn fail(&self, error: &io::Error) {
        self.write_error
            .borrow_mut()
            .get_or_insert_with(|| error.to_string().into());
        self.shutdown();
    }

    /// Whether the link uses this stream.
    pub(crate) fn uses(&self, stream: &Rc<Stream>) -> bool {
        self.is_current(stream)
    }

    #[inline]
    fn is_current(&self, stream: &Stream) -> bool {
        let used = self.stream.borrow();
        used.as_ref().is_some_and(|used| std::ptr::eq(&**used, stream))
    }
}

impl<L: LinkIo + 'static> Writer for Connection<L> {
    fn gather(&self, write: &mut dyn FnMut(&[IoSlice<'_>])) {
        if !self.is_open() {
            return;
        }
        if let Some(shell) = &mut *self.shell.borrow_mut() {
            let has_more = self.seal(shell);
            return shell.gather(has_more, write);
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
            self.bytes_written.set(self.bytes_written.get() + bytes as u64);
            self.writes.set(self.writes.get() + 1);
            let mut link = self.link.borrow_mut();
            match &mut *self.shell.borrow_mut() {
                Some(shell) => link.sealed_written(shell.wrote(bytes)),
                None => link.transmitted(bytes),
            }
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

    fn is_awaited(&self) -> bool {
        self.written.is_awaited()
    }
}

impl<L: LinkIo + 'static> Flush for Connection<L> {
    fn flush(self: Rc<Self>, _shard: &Rc<ShardCore>) {
        self.listed.set(false);
        self.write(Stream::write);
    }
}
