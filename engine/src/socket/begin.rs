//! Opening sockets.

use std::rc::Rc;

use super::SocketSort;
use super::state::{Part, Socket};
use super::stream::{self, Origin, StreamPart};
use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::socket_event::SocketId;
use crate::error::Error;
use crate::rt;

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
    let stats = shard
        .sockets()
        .registry
        .insert(id, owner, sort, shard.node.open_files_max)?;
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
