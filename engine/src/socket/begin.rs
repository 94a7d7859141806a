//! Opening sockets.

use std::rc::Rc;

use super::state::{Part, Socket};
use super::stream::{self, Origin, StreamPart};
use super::table::Room;
use super::{SOCKETS_MAX, SocketSort};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::socket_event::SocketId;
use crate::error::Error;
use crate::rt;
use crate::rt::stream::Stream;

/// Inserts a socket into the table of its shard, and into that of the node.
pub(super) fn insert(
    shard: &Rc<ShardCore>,
    owner: Handle,
    sort: SocketSort,
    part: Part,
) -> Result<Rc<Socket>, Error> {
    if shard.stopping.get() {
        return Err(Error::ShuttingDown);
    }
    let id = shard.sockets().next_id();
    let files = usize::try_from(shard.node.open_files_max).unwrap_or(usize::MAX);
    // The rest is for connections between nodes, logs and files.
    let descriptors_max = files / 8 * 7;
    let without_descriptor = match Stream::can_give_descriptors_back() {
        true => files.saturating_mul(shard.shards()),
        false => 0,
    };
    let room = Room {
        sockets_max: without_descriptor
            .saturating_add(descriptors_max)
            .min(SOCKETS_MAX),
        descriptors_max,
    };
    let stats = shard.sockets().registry.insert(id, owner, sort, room)?;
    let socket = Rc::new(Socket::new(id, owner, part, stats));
    shard.sockets().insert(&socket);
    Ok(socket)
}

/// Opens a TCP connection.
pub(super) fn begin_stream(
    shard: &Rc<ShardCore>,
    owner: Handle,
    origin: Origin,
    is_started: bool,
) -> Result<SocketId, Error> {
    let part = Part::Stream(StreamPart::new(shard));
    let socket = insert(shard, owner, SocketSort::Stream, part)?;
    let id = socket.id;
    socket.set_started(is_started);
    rt::spawn(stream::run(Rc::clone(shard), socket, origin));
    Ok(id)
}
