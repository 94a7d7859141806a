//! A listening socket of a service: one task that accepts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket as SystemSocket, Type};

use super::begin::begin_stream;
use super::state::{Closing, Part, Socket};
use super::stream::Origin;
use crate::core::ShardCore;
use crate::core::blocking;
use crate::core::clock;
use crate::core::handle::Handle;
use crate::core::socket_event::{SocketId, SocketNews};
use crate::error::{Error, Text};
use crate::log::Throttle;
use crate::rt;
use crate::rt::watched::Watched;

/// Connections accepted in a row before the task yields to others.
const ACCEPTS_IN_A_ROW_MAX: usize = 64;

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time between two reports of failed accepts to the owner, in milliseconds.
const FAILURE_INTERVAL_MS: u64 = 10_000;

/// Binds and listens.
pub(super) fn bind(address: SocketAddr, backlog: u32) -> Result<TcpListener, Error> {
    let bound = || -> io::Result<TcpListener> {
        let socket = SystemSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    bound().map_err(|error| Error::bind(address, &error))
}

/// The origin of a listener.
pub(super) enum ListenerOrigin {
    Bound(TcpListener),
    Named { host: String, port: u16, backlog: u32 },
}

/// Starts the task of a listener. A bound listener reports its address first.
pub(super) fn start(shard: Rc<ShardCore>, socket: Rc<Socket>, origin: ListenerOrigin) {
    let setup = match origin {
        ListenerOrigin::Bound(listener) => Setup::Bound(adopt(&shard, &socket, listener)),
        ListenerOrigin::Named { host, port, backlog } => Setup::Unresolved(host, port, backlog),
    };
    rt::spawn(run(shard, socket, setup));
}

enum Setup {
    Bound(Result<Watched<TcpListener>, Text>),
    Unresolved(String, u16, u32),
}

/// The task of a listener.
async fn run(shard: Rc<ShardCore>, socket: Rc<Socket>, setup: Setup) {
    let listener = match setup {
        Setup::Bound(listener) => Some(listener),
        Setup::Unresolved(host, port, backlog) => {
            let found = socket.unless_closed(blocking::resolve(&shard, &host, port)).await;
            found.map(|found| {
                let address = found?.first().copied().ok_or("no address")?;
                let bound = bind(address, backlog).map_err(|error| Text::from(error.to_string()))?;
                adopt(&shard, &socket, bound)
            })
        }
    };
    let news = match listener {
        Some(Ok(listener)) => {
            accept(&shard, &socket, listener).await;
            SocketNews::Closed
        }
        Some(Err(cause)) => SocketNews::Failed { cause },
        None => SocketNews::Closed,
    };
    socket.notify(&shard, news);
    shard.sockets().remove(socket.id);
    shard.sockets().registry.remove(socket.id);
}

/// Registers a bound socket with the runtime, and reports its address.
fn adopt(
    shard: &Rc<ShardCore>,
    socket: &Socket,
    listener: TcpListener,
) -> Result<Watched<TcpListener>, Text> {
    let text = |error: io::Error| Text::from(error.to_string());
    let local = listener.local_addr().map_err(text)?;
    let watched = Watched::new(listener).map_err(text)?;
    socket.stats.set_address(local);
    let address = local.ip().to_string().into();
    let port = local.port();
    socket.notify(shard, SocketNews::Opened { address, port });
    Ok(watched)
}

async fn accept(shard: &Rc<ShardCore>, socket: &Rc<Socket>, listener: Watched<TcpListener>) {
    let throttle = Throttle::new(FAILURE_INTERVAL_MS);
    let report = |cause: String| {
        if throttle.allow(clock::now_ms()).is_some() {
            socket.report_failure(shard, &cause);
        }
    };
    let mut next_shard = shard.index;
    loop {
        if socket.closing() != Closing::No {
            return;
        }
        let reads = socket.check_read(shard);
        let woken = socket.until_change(reads, listener.readable()).await;
        match woken {
            None => continue,
            Some(Err(error)) => {
                report(error.to_string());
                rt::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Some(Ok(())) => {}
        }
        for _ in 0..ACCEPTS_IN_A_ROW_MAX {
            match listener.get().accept() {
                Ok((connection, peer)) => {
                    let origin = Origin::Accepted {
                        fd: connection.into(),
                        peer,
                    };
                    socket.stats.read.fetch_add(1, Ordering::Relaxed);
                    if let Some(keyed) = keyed(socket) {
                        spread(shard, socket.id, keyed, next_shard, origin, peer);
                        next_shard = (next_shard + 1) % shard.shards();
                        continue;
                    }
                    match begin_stream(shard, socket.owner(), origin, false) {
                        Ok(accepted) => {
                            let news = SocketNews::Accepted {
                                socket: accepted,
                                peer,
                            };
                            socket.notify(shard, news);
                            if !socket.check_read(shard) {
                                break;
                            }
                        }
                        // The connection is closed as its origin is dropped.
                        Err(error) => {
                            shard.node.metrics.sockets_refused.add(1);
                            report(error.to_string());
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.clear_readable();
                    break;
                }
                // The peer has cancelled the connection, or a signal has interrupted the call: no failure of the
                // listener.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    shard.node.metrics.sockets_refused.add(1);
                    report(error.to_string());
                    rt::sleep(ACCEPT_PAUSE).await;
                    break;
                }
            }
        }
        rt::relax().await;
        shard.note_io_polled();
    }
}

/// The keyed service whose instances get the connections of a listener.
fn keyed(socket: &Socket) -> Option<Handle> {
    match &socket.part {
        Part::Listener(keyed) => keyed.get(),
        _ => None,
    }
}

/// Hands a connection to the instance of a keyed service on a shard. The connections that are under way are bounded by the
/// process's descriptors. One for an instance that has ended is closed as its origin is dropped.
fn spread(
    shard: &Rc<ShardCore>,
    listener: SocketId,
    keyed: Handle,
    index: usize,
    origin: Origin,
    peer: SocketAddr,
) {
    shard.run_on(index, move |shard| {
        let Some(instance) = shard.names.read(|names| names.instance(keyed, shard.index)) else {
            return;
        };
        shard.sockets().add_owner(instance);
        match begin_stream(shard, instance, origin, false) {
            Ok(socket) => shard.notify_owner(instance, listener, SocketNews::Accepted { socket, peer }, 0),
            Err(_) => shard.node.metrics.sockets_refused.add(1),
        }
    });
}
