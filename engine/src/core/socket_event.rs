//! What happens to the sockets of services, as their owners are told of it.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::core::handle::Handle;
use crate::error::Text;

/// What an event counts beside its bytes.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 256;

/// Names a socket of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

impl fmt::Display for SocketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What happened to a socket.
#[derive(Debug)]
pub struct SocketEvent {
    /// Which socket.
    pub socket: SocketId,
    /// What happened.
    pub news: SocketNews,
}

/// What can happen to a socket.
#[derive(Debug)]
pub enum SocketNews {
    /// It is connected, listens, or was started.
    Opened {
        /// Of a connection, the peer's address; of a listener, its own.
        address: Text,
        /// The port of that address.
        port: u16,
    },
    /// A listener has a new connection, which is not read until somebody starts it.
    Accepted {
        /// The new connection.
        socket: SocketId,
        /// Where it comes from.
        peer: SocketAddr,
    },
    /// Bytes came.
    Data(Bytes),
    /// A datagram came.
    Datagram {
        /// Where it comes from.
        from: SocketAddr,
        /// What it holds.
        bytes: Bytes,
    },
    /// The peer reads too slowly: so many bytes wait to be written. 0: all of them are written now.
    Warning {
        /// Bytes that wait.
        waiting: usize,
    },
    /// The peer has sent all that it will, or the socket was closed on this side. In the first case it may
    /// still be written to, and must be closed.
    Closed,
    /// It does not work, or does not any more; it is closed already. A listener goes on.
    Failed {
        /// Why.
        cause: Text,
    },
}

impl SocketNews {
    /// What it counts until its owner has handled it.
    pub(crate) fn bytes(&self) -> usize {
        EVENT_OVERHEAD_BYTES
            + match self {
                SocketNews::Data(bytes) | SocketNews::Datagram { bytes, .. } => bytes.len(),
                _ => 0,
            }
    }
}

/// An event on its way to the owner of its socket.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) owner: Handle,
    pub(crate) event: SocketEvent,
    /// What it counts until it was handled.
    pub(crate) bytes: usize,
}
