//! Sockets of services: TCP connections and listeners, UDP, and the standard input, for services that talk to
//! more than other nodes.
//!
//! A service opens sockets through [`Sockets`], and what happens to them comes to it as events, to
//! [`Service::socket`](crate::Service::socket), in order with its messages. A socket belongs to one service,
//! its owner, and moves to whoever starts it; any service of the node may write to it or close it.
//!
//! A socket lives on one shard from its beginning to its end: where the service was that opened it, and, if it
//! was accepted, with its listener. Its number says which. What other shards want of it goes
//! there as a message, so what one service writes keeps its order.
//!
//! Invariants: nothing is read while its owner has not handled [`READ_AHEAD_BYTES_MAX`] of earlier events; what
//! waits to be written is bounded for each socket and for each shard, and past the bound it is the peer that
//! does not read which loses its connection; a socket whose owner has ended is closed; an owner gets no event of a
//! socket after [`SocketNews::Failed`], and [`SocketNews::Closed`] at most once.

mod api;
mod begin;
mod datagram;
mod delivery;
mod input;
mod link;
mod listener;
mod state;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use crate::core::handle::Handle;
use crate::core::socket_event::SocketId;
use crate::error::Text;

pub use api::Sockets;
pub use delivery::WRITES_UNDER_WAY_BYTES_MAX;
pub(crate) use table::{SocketRegistry, SocketShard};

/// Most sockets of a node, and never more than half of the open-files limit.
pub const SOCKETS_MAX: usize = 65_536;

/// Bytes of one socket's events that its owner may not have handled; past it the socket is not read.
pub const READ_AHEAD_BYTES_MAX: usize = 256 << 10;

/// The same for all sockets of a shard together.
pub const READ_AHEAD_TOTAL_BYTES_MAX: usize = 64 << 20;

/// Bytes that wait to be written to one socket; past it the connection is cut.
pub const SOCKET_OUT_BYTES_MAX: usize = 64 << 20;

/// Bytes that wait to be written to all sockets of a shard; past it the one with the most is cut.
pub const SOCKET_OUT_TOTAL_BYTES_MAX: usize = 256 << 20;

/// Bytes that wait to be written to a socket when its owner is warned, and again at each doubling.
pub const WARNING_BYTES: usize = 1 << 20;

/// The shard that a socket lives on.
pub(crate) fn home(socket: SocketId, shards: usize) -> usize {
    socket.0 as usize % shards
}

/// What sort of socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketSort {
    /// Takes connections.
    Listener,
    /// A TCP connection.
    Stream,
    /// UDP.
    Datagram,
    /// The standard input.
    Input,
}

/// One socket, as [`Sockets::info`] lists it; the numbers are those of its last read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketInfo {
    /// Which socket.
    pub socket: SocketId,
    /// The service it belongs to.
    pub owner: Handle,
    /// What sort of socket it is.
    pub sort: SocketSort,
    /// The peer, or the own address of a listener or UDP socket; empty when there is none yet.
    pub address: Text,
    /// Bytes that were read, or connections that were accepted.
    pub read: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
    /// Whether it is read when something comes.
    pub is_started: bool,
    /// Whether it is being closed.
    pub is_closing: bool,
}
