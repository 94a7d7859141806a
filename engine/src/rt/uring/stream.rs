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
    /// The ring has it too, and keeps it open until no operation on it is in flight.
    socket: Rc<TcpStream>,
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
        check_connected(&stream.socket, peer)?;
        Ok(stream)
    }

    fn new(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        watch_host(&socket);
        let executor = executor::current()?;
        let socket = Rc::new(socket);
        let source = executor.ring.insert(socket.as_raw_fd(), Some(Rc::clone(&socket)));
        Ok(Stream {
            socket,
            executor,
            source,
        })
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
        discard_unread(&self.socket);
    }

    pub(in crate::rt) fn acknowledge_now(&self) {
        let _ = SockRef::from(&*self.socket).set_tcp_quickack(true);
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
        Ok((self.socket.as_fd().try_clone_to_owned()?, received.into()))
    }

    pub(in crate::rt) fn finish(&self) {
        self.write_listed();
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(in crate::rt) fn shutdown(&self) {
        self.write_listed();
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.write_listed();
        self.executor.ring.remove(self.source);
    }
}
