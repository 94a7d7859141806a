//! A TCP connection of a service: one task that connects, reads, and ends it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::link::Output;
use super::secure;
use super::state::{Closing, Part, Socket};
use super::{SOCKET_OUT_BYTES_MAX, SOCKET_OUT_TOTAL_BYTES_MAX, WARNING_BYTES};
use crate::core::ShardCore;
use crate::core::blocking;
use crate::core::connection::Connection;
use crate::core::socket_event::SocketNews;
use crate::error::{Error, Text};
use crate::rt;
use crate::rt::stream::Stream;
use crate::rt::timer::timeout;

/// The time for one attempt to connect a service's socket.
const SOCKET_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a closed connection may take to write the waiting bytes.
const LINGER_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads in a row that found bytes at once before the task yields to others.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Reads of at most so many bytes are copied, so that a service that keeps them does not keep a whole read buffer.
const COPIED_READ_BYTES_MAX: usize = 16 << 10;

/// The state that only a TCP connection has.
pub(super) struct StreamPart {
    pub(super) connection: Rc<Connection<Output>>,
    /// The peer.
    peer: Cell<Option<SocketAddr>>,
    /// Shut down for writing once everything is written.
    finishing: Cell<bool>,
    /// The number of waiting bytes that causes the next warning.
    warns_at: Cell<usize>,
    /// Why this side has cut it.
    cut: RefCell<Option<Text>>,
}

impl StreamPart {
    pub(super) fn new(shard: &ShardCore) -> StreamPart {
        StreamPart {
            connection: Connection::new(Output::new(Rc::clone(&shard.sockets().out_bytes))),
            peer: Cell::new(None),
            finishing: Cell::new(false),
            warns_at: Cell::new(WARNING_BYTES),
            cut: RefCell::default(),
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.connection.link.borrow().waiting()
    }

    /// The peer's address and port.
    pub(super) fn address(&self) -> (Text, u16) {
        match self.peer.get() {
            Some(peer) => (peer.ip().to_string().into(), peer.port()),
            None => ("".into(), 0),
        }
    }

    /// Requests the shutdown for writing, after the waiting bytes.
    pub(super) fn finish(&self) {
        self.finishing.set(true);
    }

    /// Writes what `queue` adds to the output.
    pub(super) fn write(
        &self,
        shard: &Rc<ShardCore>,
        socket: &Rc<Socket>,
        queue: impl FnOnce(&mut Output),
    ) -> Result<(), Error> {
        if self.finishing.get() || self.cut.borrow().is_some() {
            return Err(Error::invalid(format!(
                "socket {} takes no more bytes",
                socket.id
            )));
        }
        queue(&mut self.connection.link.borrow_mut());
        self.connection.message_queued(shard);
        self.update_stats(socket);
        let waiting = self.waiting();
        if waiting > SOCKET_OUT_BYTES_MAX {
            cut(shard, socket, self);
            return Err(Error::overloaded(format!(
                "{waiting} bytes wait for the peer of socket {}",
                socket.id
            )));
        }
        if waiting >= self.warns_at.get() {
            self.warns_at.set(self.warns_at.get().saturating_mul(2));
            socket.notify(shard, SocketNews::Warning { waiting });
            // From now on its task also waits until everything is written.
            socket.changed.wake();
        }
        if shard.sockets().out_bytes.get() > SOCKET_OUT_TOTAL_BYTES_MAX
            && let Some(largest_writer) = shard.sockets().largest_writer()
            && let Part::Stream(part) = &largest_writer.part
        {
            cut(shard, &largest_writer, part);
        }
        Ok(())
    }

    /// Updates the statistics that other shards read.
    fn update_stats(&self, socket: &Socket) {
        let link = self.connection.link.borrow();
        socket.stats.written.store(link.written(), Ordering::Relaxed);
        socket
            .stats
            .waiting
            .store(link.waiting() as u64, Ordering::Relaxed);
    }

    fn is_written(&self) -> bool {
        self.waiting() == 0
    }

    fn has_warned(&self) -> bool {
        self.warns_at.get() > WARNING_BYTES
    }
}

/// Ends a connection whose peer does not read.
fn cut(shard: &Rc<ShardCore>, socket: &Rc<Socket>, part: &StreamPart) {
    if part.cut.borrow().is_some() {
        return;
    }
    let waiting = part.waiting();
    let cause = format!("{waiting} bytes wait to be sent, and the peer does not read them");
    *part.cut.borrow_mut() = Some(cause.into());
    shard.node.metrics.sockets_overflowed.add(1);
    // The waiting bytes are freed at once: a burst of writes must not have to wait for the socket's task.
    part.connection.shutdown();
    *part.connection.link.borrow_mut() = Output::new(Rc::clone(&shard.sockets().out_bytes));
    socket.changed.wake();
}

/// The origin of a connection.
pub(super) enum Origin {
    Connect { host: String, port: u16 },
    Accepted { fd: OwnedFd, peer: SocketAddr },
}

/// How a connection ended.
enum End {
    /// This side closed it.
    Closed,
    /// This side ended it, because the peer does not read.
    Cut(Text),
    Failed(Text),
}

/// The task of a connection, from its beginning to its end.
pub(super) async fn run(shard: Rc<ShardCore>, socket: Rc<Socket>, origin: Origin) {
    let Part::Stream(part) = &socket.part else { return };
    let end = match begin(&shard, &socket, part, origin).await {
        Ok(stream) => serve(&shard, &socket, part, stream).await,
        Err(end) => end,
    };
    let by_peer = matches!(end, End::Failed(_));
    part.connection.ask_shell(|shell| shell.count_end(by_peer));
    part.connection.detach();
    socket.notify(
        &shard,
        match end {
            End::Closed => SocketNews::Closed,
            End::Cut(cause) | End::Failed(cause) => SocketNews::Failed { cause },
        },
    );
    shard.sockets().remove(socket.id);
    shard.sockets().registry.remove(socket.id);
}

async fn begin(
    shard: &Rc<ShardCore>,
    socket: &Rc<Socket>,
    part: &StreamPart,
    origin: Origin,
) -> Result<Rc<Stream>, End> {
    let (mut stream, peer) = match origin {
        Origin::Accepted { fd, peer } => match Stream::adopt(fd.into()) {
            Ok(stream) => (stream, peer),
            Err(error) => return Err(End::Failed(error.to_string().into())),
        },
        // In a place of its own while it lasts: most connections are accepted ones, and all have room for it otherwise.
        Origin::Connect { host, port } => {
            match Box::pin(socket.unless_closed(connect(shard, &host, port))).await {
                Some(Ok(connected)) => connected,
                Some(Err(cause)) => return Err(End::Failed(cause)),
                None => return Err(End::Closed),
            }
        }
    };
    // There may be more clients than files that the process may open.
    stream.give_descriptor_back();
    part.peer.set(Some(peer));
    socket.stats.set_address(peer);
    let stream = Rc::new(stream);
    // The service may have started TLS before.
    let shell = part.connection.forget();
    let is_plain = shell.is_none();
    part.connection.attach(Rc::clone(&stream), shell);
    if socket.is_started() && is_plain {
        let (address, port) = part.address();
        socket.notify(shard, SocketNews::Opened { address, port });
    }
    if !part.is_written() {
        part.connection.flush_later(shard);
    }
    Ok(stream)
}

/// Tries the addresses of a host, one after the other.
async fn connect(shard: &Rc<ShardCore>, host: &str, port: u16) -> Result<(Stream, SocketAddr), Text> {
    let mut cause: Text = "no address".into();
    for address in blocking::resolve(shard, host, port).await? {
        match timeout(SOCKET_CONNECT_TIME_MAX, Stream::connect(address)).await {
            Some(Ok(stream)) => return Ok((stream, address)),
            Some(Err(error)) => cause = format!("{address}: {error}").into(),
            None => {
                let seconds = SOCKET_CONNECT_TIME_MAX.as_secs();
                cause = format!("{address}: no answer within {seconds} s").into();
            }
        }
    }
    Err(cause)
}

/// Reads until the end, and handles warnings, the shutdown for writing, and closing.
async fn serve(shard: &Rc<ShardCore>, socket: &Rc<Socket>, part: &StreamPart, stream: Rc<Stream>) -> End {
    let connection = &part.connection;
    // The peer has sent the end of its stream.
    let mut is_at_end = false;
    let mut is_finished = false;
    let mut reads_in_a_row = 0;
    loop {
        let is_written = part.is_written();
        match socket.closing() {
            Closing::No => {}
            // Nothing can be written before the end of a handshake.
            Closing::AfterWrites if !is_written && connection.is_open() && !connection.is_handshaking() => {
                // In a place of its own, as the connecting.
                if Box::pin(timeout(LINGER_TIME_MAX, written_out(part)))
                    .await
                    .is_none()
                {
                    shard.node.metrics.sockets_overflowed.add(1);
                }
                return close(part, &stream);
            }
            Closing::AfterWrites => return close(part, &stream),
            Closing::AtOnce => {
                end(&stream);
                return End::Closed;
            }
        }
        if !connection.is_open() {
            if let Some(cause) = part.cut.borrow_mut().take() {
                return End::Cut(cause);
            }
            let cause = connection.take_write_error();
            return End::Failed(cause.unwrap_or_else(|| "the connection broke".into()));
        }
        if is_written {
            if part.has_warned() {
                part.warns_at.set(WARNING_BYTES);
                socket.notify(shard, SocketNews::Warning { waiting: 0 });
            }
            if part.finishing.get() && !is_finished {
                is_finished = true;
                say_goodbye(part);
                stream.finish();
            }
        }
        let reads = !is_at_end && socket.check_read(shard);
        let watches_output = !reads || part.has_warned() || part.finishing.get();
        match wait(socket, part, &stream, reads, watches_output).await {
            Ok(Woken::Readable { waited }) => {
                if waited {
                    reads_in_a_row = 0;
                }
            }
            Ok(Woken::Changed) => continue,
            Err(error) => return End::Failed(error.to_string().into()),
        }
        match stream.try_read(&shard.read_buffer) {
            Ok(chunk) if chunk.is_empty() => {
                is_at_end = true;
                // A write that failed ends the stream too; the next iteration reports it.
                if connection.is_open() && socket.closing() == Closing::No {
                    if let Some(cause) = secure::cause_of_end(connection) {
                        return End::Failed(cause);
                    }
                    socket.notify(shard, SocketNews::Closed);
                }
            }
            Ok(chunk) => {
                socket.stats.read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                if connection.has_shell() {
                    match secure::receive(shard, socket, part, &chunk) {
                        Ok(has_goodbye) => is_at_end = has_goodbye,
                        Err(cause) => {
                            end(&stream);
                            return End::Failed(cause);
                        }
                    }
                } else {
                    deliver(shard, socket, chunk);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return End::Failed(error.to_string().into()),
        }
        part.update_stats(socket);
        reads_in_a_row += 1;
        if reads_in_a_row >= READS_IN_A_ROW_MAX {
            reads_in_a_row = 0;
            rt::relax().await;
            shard.note_io_polled();
        }
    }
}

/// Waits until everything is written or the connection has ended.
async fn written_out(part: &StreamPart) {
    while !part.is_written() && part.connection.is_open() {
        part.connection.written.wait().await;
    }
}

/// Gives received bytes to the owner.
#[inline]
pub(super) fn deliver(shard: &Rc<ShardCore>, socket: &Socket, chunk: Bytes) {
    let must_copy = chunk.len() <= COPIED_READ_BYTES_MAX || shard.read_buffer.is_scarce();
    let chunk = if must_copy {
        Bytes::copy_from_slice(&chunk)
    } else {
        chunk
    };
    socket.notify(shard, SocketNews::Data(chunk));
}

/// Ends a connection that this side has closed.
fn close(part: &StreamPart, stream: &Stream) -> End {
    say_goodbye(part);
    end(stream);
    End::Closed
}

/// Says within TLS that nothing follows.
fn say_goodbye(part: &StreamPart) {
    if part.connection.has_shell() {
        part.connection.say_goodbye();
    }
}

/// Ends a connection. First discards the bytes that the peer has sent meanwhile: otherwise the kernel would reset the
/// connection, and the peer could lose bytes that it has not read yet.
fn end(stream: &Stream) {
    stream.finish();
    stream.discard();
}

enum Woken {
    Readable {
        waited: bool,
    },
    /// A field of the socket has changed.
    Changed,
}

async fn wait(
    socket: &Socket,
    part: &StreamPart,
    stream: &Stream,
    reads: bool,
    watches_output: bool,
) -> io::Result<Woken> {
    let mut readable = pin!(stream.readable());
    let mut changed = pin!(socket.changed.wait());
    let mut written = pin!(part.connection.written.wait());
    poll_fn(|context| {
        if reads && let Poll::Ready(ready) = readable.as_mut().poll(context) {
            return Poll::Ready(ready.map(|waited| Woken::Readable { waited }));
        }
        if changed.as_mut().poll(context).is_ready()
            || watches_output && written.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Ok(Woken::Changed));
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_bytes<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_takes_little_memory() {
        // The largest parts of what 20,000 idle connections hold, in bytes; see the chapter about the gate.
        assert!(future_bytes(run) <= 640, "{}", future_bytes(run));
        let state = size_of::<Socket>() + size_of::<Connection<Output>>();
        assert!(state <= 392, "{state}");
    }
}
