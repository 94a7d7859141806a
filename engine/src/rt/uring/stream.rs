//! A TCP connection on the ring of its thread.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use bytes::{BufMut, Bytes};
use socket2::SockRef;

use super::executor::{self, Executor};
use super::ring::{Direction, SourceKey};
use crate::rt::connecting::{begin_connect, check_connected};
use crate::rt::read_buffer::ReadBuffer;
use crate::rt::socket_options::{discard_unread, watch_host};
use crate::rt::stream::Writer;

/// One TCP connection, bound to this thread's executor.
pub(crate) struct Stream {
    /// The ring has it too, and keeps it open until no operation on it is in flight. `None`: only the ring has it.
    socket: Option<Rc<TcpStream>>,
    executor: Rc<Executor>,
    source: SourceKey,
}

impl Stream {
    pub(in crate::rt) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        let socket = TcpStream::from(socket);
        // A socket that died between accept and here reports its error at the first read.
        let _ = socket.set_nodelay(true);
        Stream::new(socket)
    }

    pub(in crate::rt) async fn connect(peer: SocketAddr) -> io::Result<Stream> {
        let stream = Stream::new(begin_connect(peer)?.into())?;
        let ring = &stream.executor.ring;
        poll_fn(|context| ring.poll_ready(stream.source, Direction::Write, context)).await?;
        stream.with_socket(|socket| check_connected(socket, peer))??;
        Ok(stream)
    }

    fn new(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        watch_host(&socket);
        let executor = executor::current()?;
        let socket = Rc::new(socket);
        let source = executor.ring.insert(socket.as_raw_fd(), Some(Rc::clone(&socket)));
        Ok(Stream {
            socket: Some(socket),
            executor,
            source,
        })
    }

    /// Whether the ring of this thread has a table for streams without a descriptor of the process.
    pub(in crate::rt) fn can_give_descriptors_back() -> bool {
        executor::current().is_ok_and(|executor| executor.ring.direct_slots() > 0)
    }

    /// Gives its descriptor of the process back, if the ring can do without. Nothing was read or written yet.
    pub(in crate::rt) fn give_descriptor_back(&mut self) {
        self.socket
            .take_if(|socket| self.executor.ring.make_direct(self.source, socket.as_raw_fd()));
    }

    /// Does what needs a descriptor.
    fn with_socket<T>(&self, work: impl FnOnce(&TcpStream) -> T) -> io::Result<T> {
        match &self.socket {
            Some(socket) => Ok(work(socket)),
            None => {
                let descriptor = self.executor.ring.open_descriptor(self.source)?;
                Ok(work(&TcpStream::from(descriptor)))
            }
        }
    }

    fn shut_down(&self, how: Shutdown) {
        // An error of the shutdown itself says that the connection has ended already.
        if self.with_socket(|socket| socket.shutdown(how)).is_err() {
            self.executor.ring.shut_down_later(self.source, how);
        }
    }

    pub(in crate::rt) async fn readable(&self) -> io::Result<bool> {
        let mut waited = false;
        poll_fn(|context| {
            let ready = self.executor.ring.poll_received(self.source, context);
            waited |= ready.is_pending();
            ready.map_ok(|()| waited)
        })
        .await
    }

    pub(in crate::rt) fn try_read(&self, buffer: &ReadBuffer) -> io::Result<Bytes> {
        buffer.fill(|room, bytes_max| self.read_to(room, bytes_max))
    }

    pub(in crate::rt) fn try_read_into(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        self.read_to(buffer, bytes_max)
    }

    fn read_to(&self, buffer: &mut impl BufMut, bytes_max: usize) -> io::Result<usize> {
        self.executor
            .ring
            .read(self.source, bytes_max, |bytes| buffer.put_slice(bytes))
    }

    pub(in crate::rt) fn discard(&self) {
        self.executor.ring.discard_received(self.source);
        // Without a descriptor for it the peer may see a reset instead of the end.
        let _ = self.with_socket(discard_unread);
    }

    pub(in crate::rt) fn acknowledge_now(&self) {
        let _ = self.with_socket(|socket| SockRef::from(socket).set_tcp_quickack(true));
    }

    pub(in crate::rt) fn write(&self, writer: &Rc<dyn Writer>) {
        self.executor.ring.write(self.source, writer);
    }

    pub(in crate::rt) fn write_now(&self, writer: &Rc<dyn Writer>) {
        self.write(writer);
        self.executor.ring.write_listed();
    }

    /// What was listed to be written before it is shut down still is.
    fn write_listed(&self) {
        if self.executor.ring.is_listed(self.source) {
            self.executor.ring.write_listed();
        }
        self.executor.ring.stop_writing(self.source);
    }

    pub(in crate::rt) async fn release(&self) -> io::Result<(OwnedFd, Bytes)> {
        let ring = &self.executor.ring;
        poll_fn(|context| ring.poll_released(self.source, context)).await;
        let mut received = Vec::new();
        match ring.read(self.source, usize::MAX, |bytes| received.extend_from_slice(bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let descriptor = self.with_socket(|socket| socket.as_fd().try_clone_to_owned())??;
        Ok((descriptor, received.into()))
    }

    pub(in crate::rt) fn finish(&self) {
        self.write_listed();
        self.shut_down(Shutdown::Write);
    }

    pub(in crate::rt) fn shutdown(&self) {
        self.write_listed();
        self.shut_down(Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.write_listed();
        self.executor.ring.remove(self.source);
    }
}
