//! The standard input as a socket of a service.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::state::{Closing, Socket};
use crate::core::ShardCore;
use crate::core::socket_event::SocketNews;
use crate::rt;
use crate::rt::watched::{Watched, is_readable_now};

/// The size of one read of the standard input.
const INPUT_READ_BYTES: usize = 16 << 10;

/// Another descriptor of the standard input.
pub(super) fn open() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// The task that reads it.
pub(super) async fn run(shard: Rc<ShardCore>, socket: Rc<Socket>, input: File) {
    let ended = match Watched::new(input) {
        Ok(input) => {
            socket.stats.set_address("stdin");
            socket.notify(
                &shard,
                SocketNews::Opened {
                    address: "stdin".into(),
                    port: 0,
                },
            );
            read(&shard, &socket, &input).await
        }
        Err(error) => Err(error),
    };
    socket.notify(
        &shard,
        match ended {
            Ok(()) => SocketNews::Closed,
            Err(error) => SocketNews::Failed {
                cause: error.to_string().into(),
            },
        },
    );
    shard.sockets().remove(socket.id);
    shard.sockets().registry.remove(socket.id);
}

async fn read(shard: &Rc<ShardCore>, socket: &Rc<Socket>, input: &Watched<File>) -> io::Result<()> {
    let mut buffer = vec![0; INPUT_READ_BYTES];
    loop {
        if socket.closing() != Closing::No {
            return Ok(());
        }
        let reads = socket.check_read(shard);
        let woken = socket.until_change(reads, input.readable()).await;
        match woken {
            None => continue,
            Some(ready) => ready?,
        }
        // Other processes share the descriptor, and a read may block: poll it before each read.
        if !is_readable_now(input.get()) {
            input.clear_readable();
            continue;
        }
        let count = input.get().read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        socket.stats.read.fetch_add(count as u64, Ordering::Relaxed);
        let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
        socket.notify(shard, SocketNews::Data(bytes));
        rt::relax().await;
        shard.note_io_polled();
    }
}
