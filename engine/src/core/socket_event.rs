//! The events of sockets of services, which their owners receive.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::core::handle::Handle;
use crate::error::Text;

/// Bytes that an event counts for beside its data.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 256;

/// The number of a socket of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

impl fmt::Display for SocketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An event of a socket.
#[derive(Debug)]
pub struct SocketEvent {
    /// The socket.
    pub socket: SocketId,
    /// The kind of event.
    pub news: SocketNews,
}

/// The kinds of socket events.
#[derive(Debug)]
pub enum SocketNews {
    /// It is connected, listens, or was started.
    Opened {
        /// Of a connection, the peer's address; of a listener, its own.
        address: Text,
        /// The port of that address.
        port: u16,
    },
    /// A listener has a new connection, which is not read until a service starts it.
    Accepted {
        /// The new connection.
        socket: SocketId,
        /// Where it comes from.
        peer: SocketAddr,
    },
    /// Bytes were received.
    Data(Bytes),
    /// A datagram was received.
    Datagram {
        /// Where it comes from.
        from: SocketAddr,
        /// Its data.
        bytes: Bytes,
    },
    /// The peer reads too slowly: `waiting` bytes wait to be written. 0: all of them are written now.
    Warning {
        /// The waiting bytes.
        waiting: usize,
    },
    /// The peer has sent the end of its stream, or this side has closed the socket. In the first case it can still be
    /// written to, and must be closed.
    Closed,
    /// It failed, and is closed. A listener continues.
    Failed {
        /// The cause.
        cause: Text,
    },
}

impl SocketNews {
    /// Bytes that it counts for until its owner has handled it.
    pub(crate) fn bytes(&self) -> usize {
        EVENT_OVERHEAD_BYTES
            + match self {
                SocketNews::Data(bytes) | SocketNews::Datagram { bytes, .. } => bytes.len(),
                _ => 0,
            }
    }
}

/// An event for the owner of its socket.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) owner: Handle,
    pub(crate) event: SocketEvent,
    /// Bytes that it counts for until it is handled.
    pub(crate) bytes: usize,
}
