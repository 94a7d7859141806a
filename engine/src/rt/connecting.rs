//! How a connection begins, whichever runtime waits for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A socket that connects to `peer`: it becomes writable when the connection is up, and when it has failed.
pub(super) fn begin_connect(peer: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Whether a socket that has become writable is connected to `peer`; the error says why not.
pub(super) fn check_connected(socket: &impl AsFd, peer: SocketAddr) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // On loopback a connect to a free port of the ephemeral range can meet itself (simultaneous open).
    if socket.local_addr()?.as_socket() == Some(peer) {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "connected to itself",
        ));
    }
    Ok(())
}
