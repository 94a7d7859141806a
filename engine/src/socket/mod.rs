//! Sockets of services: TCP connections and listeners, UDP, and the standard input, for services that communicate
//! with more than other nodes.
//!
//! A service opens sockets through [`Sockets`], and gets their events through
//! [`Service::socket`](crate::Service::socket), in order with its messages. A socket belongs to one service, its
//! owner; a service that starts it becomes its owner. Any service of the node may write to it or close it.
//!
//! A socket stays on one shard: that of the service that opened it, or that of its listener. Its number tells the
//! shard. Other shards send their commands there as messages, so what one service writes keeps its order.
//!
//! Invariants: a socket is not read while its owner has not handled [`READ_AHEAD_BYTES_MAX`] of earlier events; the
//! waiting output is bounded for each socket and for each shard, and past the bound the connection of the peer that
//! does not read is cut; a socket whose owner has ended is closed; an owner gets no event of a socket after
//! [`SocketNews::Failed`], and [`SocketNews::Closed`] at most once.

mod api;
mod begin;
mod datagram;
mod delivery;
mod input;
mod link;
mod listener;
mod secure;
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

/// Most sockets of a node, and never more than seven eighths of the open-files limit.
pub const SOCKETS_MAX: usize = 65_536;

/// Bytes of one socket's events that its owner may not have handled; past it the socket is not read.
pub const READ_AHEAD_BYTES_MAX: usize = 256 << 10;

/// Such bytes of all sockets of a shard together.
pub const READ_AHEAD_TOTAL_BYTES_MAX: usize = 64 << 20;

/// Bytes that wait to be written to one socket; past it the connection is cut.
pub const SOCKET_OUT_BYTES_MAX: usize = 64 << 20;

/// Bytes that wait to be written to all sockets of a shard; past it the one with the most is cut.
pub const SOCKET_OUT_TOTAL_BYTES_MAX: usize = 256 << 20;

/// Bytes that wait to be written to a socket when its owner is warned, and again at each doubling.
pub const WARNING_BYTES: usize = 1 << 20;

/// The shard of a socket.
pub(crate) fn shard_of_socket(socket: SocketId, shards: usize) -> usize {
    socket.0 as usize % shards
}

/// The sorts of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketSort {
    /// A TCP listener.
    Listener,
    /// A TCP connection.
    Stream,
    /// A UDP socket.
    Datagram,
    /// The standard input.
    Input,
}

/// One socket, as [`Sockets::info`] lists it, with the state after its last read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketInfo {
    /// Its number.
    pub socket: SocketId,
    /// Its owner.
    pub owner: Handle,
    /// Its sort.
    pub sort: SocketSort,
    /// The peer, or the local address of a listener or UDP socket; empty when there is none yet.
    pub address: Text,
    /// Bytes read, or connections accepted.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
    /// Whether it is started.
    pub is_started: bool,
    /// Whether it is being closed.
    pub is_closing: bool,
}
