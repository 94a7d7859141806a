//! A UDP socket of a service: one task that receives. A datagram that the kernel does not accept at once is dropped
//! and counted, as a network would.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::state::{Closing, Part, Socket};
use crate::core::ShardCore;
use crate::core::blocking;
use crate::core::socket_event::SocketNews;
use crate::error::{Error, Text};
use crate::rt;
use crate::rt::watched::Watched;

/// The largest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Datagrams received in a row before the task yields to others.
const DATAGRAMS_IN_A_ROW_MAX: usize = 64;

/// Datagrams that wait for the look-up of their peer.
const UNADDRESSED_DATAGRAMS_MAX: usize = 64;

/// The state that only a UDP socket has.
#[derive(Default)]
pub(super) struct DatagramPart {
    io: RefCell<Option<Rc<Watched<UdpSocket>>>>,
    peer: Cell<Option<SocketAddr>>,
    /// The bytes written before the peer was known.
    unaddressed: RefCell<Vec<Bytes>>,
}

impl DatagramPart {
    /// Sends to the peer that was set.
    pub(super) fn write(&self, shard: &ShardCore, bytes: Bytes) {
        if let Some(peer) = self.peer.get() {
            return self.send_to(shard, peer, &bytes);
        }
        let mut unaddressed = self.unaddressed.borrow_mut();
        if unaddressed.len() < UNADDRESSED_DATAGRAMS_MAX {
            unaddressed.push(bytes);
        } else {
            shard.node.metrics.datagrams_dropped.add(1);
        }
    }

    pub(super) fn send_to(&self, shard: &ShardCore, to: SocketAddr, bytes: &[u8]) {
        let io = self.io.borrow();
        let sent = io.as_ref().map(|io| io.get().send_to(bytes, to));
        if !matches!(sent, Some(Ok(_))) {
            shard.node.metrics.datagrams_dropped.add(1);
        }
    }

    fn set_peer(&self, shard: &ShardCore, peer: SocketAddr) {
        self.peer.set(Some(peer));
        for bytes in self.unaddressed.take() {
            self.send_to(shard, peer, &bytes);
        }
    }
}

/// A bound UDP socket; without an address it gets a free port for IPv4.
pub(super) fn bind(address: Option<SocketAddr>) -> Result<UdpSocket, Error> {
    let address = address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    let bound = UdpSocket::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    bound.map_err(|error| Error::bind(address, &error))
}

/// Sets the peer of writes without an address; looks a name up.
pub(super) fn set_peer(shard: &Rc<ShardCore>, socket: &Rc<Socket>, host: String, port: u16) {
    let Part::Datagram(part) = &socket.part else {
        return;
    };
    if let Ok(address) = host.parse() {
        return part.set_peer(shard, SocketAddr::new(address, port));
    }
    part.peer.set(None);
    let (shard, socket) = (Rc::clone(shard), Rc::clone(socket));
    rt::spawn(async move {
        let found = socket.unless_closed(blocking::resolve(&shard, &host, port)).await;
        let (Some(found), Part::Datagram(part)) = (found, &socket.part) else {
            return;
        };
        match found.as_ref().map(|found| found.first().copied()) {
            Ok(Some(peer)) => part.set_peer(&shard, peer),
            Ok(None) => socket.report_failure(&shard, "no address"),
            Err(cause) => socket.report_failure(&shard, cause),
        }
    });
}

/// The origin of a UDP socket.
pub(super) enum Origin {
    Bound(UdpSocket),
    Named { host: String, port: u16 },
}

/// Starts the task of a UDP socket. A bound socket can send at once.
pub(super) fn start(shard: Rc<ShardCore>, socket: Rc<Socket>, origin: Origin) {
    let setup = match origin {
        Origin::Bound(bound) => Setup::Bound(adopt(&socket, bound)),
        Origin::Named { host, port } => Setup::Unresolved(host, port),
    };
    rt::spawn(run(shard, socket, setup));
}

enum Setup {
    Bound(io::Result<Rc<Watched<UdpSocket>>>),
    Unresolved(String, u16),
}

async fn run(shard: Rc<ShardCore>, socket: Rc<Socket>, setup: Setup) {
    let news = match begin(&shard, &socket, setup).await {
        Some(Ok(io)) => match receive(&shard, &socket, &io).await {
            Ok(()) => SocketNews::Closed,
            Err(error) => SocketNews::Failed {
                cause: error.to_string().into(),
            },
        },
        Some(Err(cause)) => SocketNews::Failed { cause },
        None => SocketNews::Closed,
    };
    if let Part::Datagram(part) = &socket.part {
        part.io.take();
    }
    socket.notify(&shard, news);
    shard.sockets().remove(socket.id);
    shard.sockets().registry.remove(socket.id);
}

async fn begin(
    shard: &Rc<ShardCore>,
    socket: &Rc<Socket>,
    setup: Setup,
) -> Option<Result<Rc<Watched<UdpSocket>>, Text>> {
    let text = |error: &dyn std::fmt::Display| Text::from(error.to_string());
    Some(match setup {
        Setup::Bound(adopted) => adopted.map_err(|error| text(&error)),
        Setup::Unresolved(host, port) => match socket
            .unless_closed(blocking::resolve(shard, &host, port))
            .await?
        {
            Ok(found) => bind(found.first().copied())
                .map_err(|error| text(&error))
                .and_then(|bound| adopt(socket, bound).map_err(|error| text(&error))),
            Err(cause) => Err(cause),
        },
    })
}

/// Installs a bound socket; the part can send from then on.
fn adopt(socket: &Socket, bound: UdpSocket) -> io::Result<Rc<Watched<UdpSocket>>> {
    socket.stats.set_address(bound.local_addr()?);
    let io = Rc::new(Watched::new(bound)?);
    if let Part::Datagram(part) = &socket.part {
        *part.io.borrow_mut() = Some(Rc::clone(&io));
    }
    Ok(io)
}

async fn receive(shard: &Rc<ShardCore>, socket: &Rc<Socket>, io: &Watched<UdpSocket>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        if socket.closing() != Closing::No {
            return Ok(());
        }
        let reads = socket.check_read(shard);
        let woken = socket.until_change(reads, io.readable()).await;
        match woken {
            None => continue,
            Some(ready) => ready?,
        }
        buffer.resize(DATAGRAM_BYTES_MAX, 0);
        for _ in 0..DATAGRAMS_IN_A_ROW_MAX {
            match io.get().recv_from(&mut buffer) {
                Ok((count, from)) => {
                    socket.stats.read.fetch_add(count as u64, Ordering::Relaxed);
                    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                    socket.notify(shard, SocketNews::Datagram { from, bytes });
                    if !socket.check_read(shard) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    io.clear_readable();
                    // An idle socket holds no buffer.
                    buffer = Vec::new();
                    break;
                }
                // The failure of an earlier datagram is an error of a later receive; the socket still works.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted
                            | io::ErrorKind::ConnectionRefused
                            | io::ErrorKind::HostUnreachable
                            | io::ErrorKind::NetworkUnreachable
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        rt::relax().await;
        shard.note_io_polled();
    }
}
