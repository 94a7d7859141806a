//! The socket operations of a service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;

use super::begin::{begin_stream, insert};
use super::delivery::{Action, Command};
use super::listener::ListenerOrigin;
use super::state::{Closing, Part, Socket};
use super::stream::Origin;
use super::{SocketInfo, SocketSort, datagram, input, listener};
use crate::core::ShardCore;
use crate::core::blocking;
use crate::core::handle::Handle;
use crate::core::socket_event::SocketId;
use crate::error::Error;
use crate::rt;
use crate::tls::{Preface, ServerTls};

/// The sockets of a service. No method waits: results arrive as events at
/// [`Service::socket`](crate::Service::socket).
///
/// A host is an address or a name; names are looked up on the job thread, so that no shard blocks.
///
/// ```
/// use skyring::{Answer, Context, Error, Message, Service, SocketEvent, SocketNews};
///
/// /// Answers every line with itself.
/// struct EchoServer;
///
/// impl Service for EchoServer {
///     fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
///         let listener = context.sockets().listen("127.0.0.1", 0, 128)?;
///         context.sockets().start(listener)
///     }
///
///     fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
///         Answer::none()
///     }
///
///     fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
///         let sockets = context.sockets();
///         // A write is refused while its connection is being closed.
///         let _ = match event.news {
///             SocketNews::Accepted { socket, .. } => sockets.start(socket),
///             SocketNews::Data(bytes) => sockets.write(event.socket, bytes),
///             SocketNews::Closed => sockets.close(event.socket),
///             _ => Ok(()),
///         };
///     }
/// }
/// ```
pub struct Sockets {
    shard: Rc<ShardCore>,
    owner: Handle,
}

impl Sockets {
    /// The sockets of a service of this shard.
    pub(crate) fn new(shard: Rc<ShardCore>, owner: Handle) -> Sockets {
        Sockets { shard, owner }
    }

    /// Opens a socket for this service; `begin` starts its task.
    fn open(
        &self,
        sort: SocketSort,
        part: Part,
        begin: impl FnOnce(Rc<ShardCore>, Rc<Socket>),
    ) -> Result<SocketId, Error> {
        self.shard.sockets().add_owner(self.owner);
        let socket = insert(&self.shard, self.owner, sort, part)?;
        let id = socket.id;
        begin(Rc::clone(&self.shard), socket);
        Ok(id)
    }

    /// Listens. Port 0 is any free port, an empty host is every IPv4 address, and the kernel queues up to `backlog`
    /// connections. [`SocketNews::Opened`] has the address; connections are accepted once the socket is
    /// [started](Self::start).
    ///
    /// # Errors
    /// [`Error::System`] when an address cannot be bound (for a name, [`SocketNews::Failed`] reports it),
    /// [`Error::Overloaded`] when the node has as many sockets as it may have.
    ///
    /// [`SocketNews::Opened`]: crate::SocketNews::Opened
    /// [`SocketNews::Failed`]: crate::SocketNews::Failed
    pub fn listen(&self, host: &str, port: u16, backlog: u32) -> Result<SocketId, Error> {
        let origin = match literal(host) {
            Some(address) => ListenerOrigin::Bound(listener::bind(SocketAddr::new(address, port), backlog)?),
            None => ListenerOrigin::Named {
                host: host.to_owned(),
                port,
                backlog,
            },
        };
        self.open(
            SocketSort::Listener,
            Part::Listener(Default::default()),
            |shard, socket| {
                listener::start(shard, socket, origin);
            },
        )
    }

    /// Connects. [`SocketNews::Opened`] or [`SocketNews::Failed`] reports the result; bytes that are written
    /// meanwhile wait. The socket is started from the beginning.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the node has as many sockets as it may have.
    ///
    /// [`SocketNews::Opened`]: crate::SocketNews::Opened
    /// [`SocketNews::Failed`]: crate::SocketNews::Failed
    pub fn connect(&self, host: &str, port: u16) -> Result<SocketId, Error> {
        self.shard.sockets().add_owner(self.owner);
        let origin = Origin::Connect {
            host: host.to_owned(),
            port,
        };
        begin_stream(&self.shard, self.owner, origin, true)
    }

    /// Opens a UDP socket; `None` is a free port for IPv4. The socket is started from the beginning.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn udp(&self, bind: Option<(&str, u16)>) -> Result<SocketId, Error> {
        let origin = match bind {
            None => datagram::Origin::Bound(datagram::bind(None)?),
            Some((host, port)) => match literal(host) {
                Some(address) => {
                    datagram::Origin::Bound(datagram::bind(Some(SocketAddr::new(address, port)))?)
                }
                None => datagram::Origin::Named {
                    host: host.to_owned(),
                    port,
                },
            },
        };
        let part = Part::Datagram(Default::default());
        self.open(SocketSort::Datagram, part, |shard, socket| {
            socket.set_started(true);
            datagram::start(shard, socket, origin);
        })
    }

    /// Sets the peer of a UDP socket, which [`write`](Self::write) sends to. The socket still receives from any
    /// address.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not an open UDP socket, as far as this shard can tell.
    pub fn udp_connect(&self, socket: SocketId, host: &str, port: u16) -> Result<(), Error> {
        let host = host.to_owned();
        self.command(socket, Action::SetPeer { host, port })
    }

    /// Sends a datagram. One that the kernel does not accept is dropped and counted.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn send_to(&self, socket: SocketId, to: SocketAddr, bytes: Bytes) -> Result<(), Error> {
        self.command(socket, Action::SendTo { to, bytes })
    }

    /// Reads the standard input of the process.
    ///
    /// # Errors
    /// [`Error::System`] when there is none, [`Error::Overloaded`] when the node has as many sockets as it may have.
    pub fn input(&self) -> Result<SocketId, Error> {
        let input = input::open().map_err(|error| Error::System {
            what: format!("the standard input cannot be read: {error}").into(),
        })?;
        self.open(SocketSort::Input, Part::Input, |shard, socket| {
            socket.set_started(true);
            rt::spawn(input::run(shard, socket, input));
        })
    }

    /// Starts to read a socket, and makes this service its owner: accepted connections, listeners, and paused
    /// sockets. [`SocketNews::Opened`](crate::SocketNews::Opened) follows; for a socket that does not exist,
    /// [`SocketNews::Failed`](crate::SocketNews::Failed).
    ///
    /// # Errors
    /// None today.
    pub fn start(&self, socket: SocketId) -> Result<(), Error> {
        self.shard.sockets().add_owner(self.owner);
        self.command(socket, Action::Start)
    }

    /// Starts a listener of this service whose connections go to the instances of a [keyed
    /// service](crate::Caller::launch_keyed), one shard after the other: the instance gets [`SocketNews::Accepted`], and
    /// owns the connection, which its shard reads and writes.
    ///
    /// # Errors
    /// None today.
    ///
    /// [`SocketNews::Accepted`]: crate::SocketNews::Accepted
    pub fn start_spread(&self, listener: SocketId, keyed: Handle) -> Result<(), Error> {
        self.shard.sockets().add_owner(self.owner);
        self.command(listener, Action::StartSpread(keyed))
    }

    /// Starts to read an accepted connection as that of a client with TLS, and makes this service its owner. The client has
    /// `preface` before TLS, if that is given: it arrives as [`SocketNews::Data`] of its own.
    /// [`SocketNews::Opened`] follows when the handshake has ended; before that nothing of the client arrives, and what is
    /// written to it waits. [`SocketNews::Failed`] says why it has not ended well, or that the connection was cut off later;
    /// [`ServerTls::counts`] counts both. How long the handshake may take is the service's to decide.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no connection that has not begun, as far as this shard can tell.
    ///
    /// [`SocketNews::Data`]: crate::SocketNews::Data
    /// [`SocketNews::Opened`]: crate::SocketNews::Opened
    /// [`SocketNews::Failed`]: crate::SocketNews::Failed
    pub fn start_tls(
        &self,
        socket: SocketId,
        tls: &ServerTls,
        preface: Option<Preface>,
    ) -> Result<(), Error> {
        self.shard.sockets().add_owner(self.owner);
        self.command(socket, Action::StartTls(tls.clone(), preface))
    }

    /// The DNS names in the certificate of the client of a connection of this shard; none where it has shown none.
    pub fn peer_names(&self, socket: SocketId) -> Vec<String> {
        match self.shard.sockets().get(socket).as_deref() {
            Some(Socket {
                part: Part::Stream(part),
                ..
            }) => part.connection.peer_names().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// The bytes that wait to be written to a connection of this shard; `None` for any other socket.
    pub fn waiting(&self, socket: SocketId) -> Option<usize> {
        match &self.shard.sockets().get(socket)?.part {
            Part::Stream(part) => Some(part.waiting()),
            _ => None,
        }
    }

    /// Stops reading a socket until it is started again. Events of earlier reads still arrive.
    ///
    /// # Errors
    /// None today.
    pub fn pause(&self, socket: SocketId) -> Result<(), Error> {
        self.command(socket, Action::Pause)
    }

    /// Writes to a connection, or to the peer of a UDP socket. The bytes wait until the peer accepts them; see
    /// [`SocketNews::Warning`](crate::SocketNews::Warning).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a socket of this shard that is not open, [`Error::Overloaded`] when too many bytes
    /// wait; then the connection is cut, if it belongs to this shard.
    pub fn write(&self, socket: SocketId, bytes: Bytes) -> Result<(), Error> {
        self.command(socket, Action::Write { bytes, is_low: false })
    }

    /// Writes copies of bytes, one part after the other. Short ones that are written in a row go to the kernel as one.
    /// Returns the bytes that wait then, of a connection of this shard; 0 for any other socket.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_copied(&self, socket: SocketId, parts: &[&[u8]]) -> Result<usize, Error> {
        let open = self.shard.sockets().get(socket);
        match open.as_ref().map(|open| (open, &open.part)) {
            Some((open, Part::Stream(part))) if open.closing() == Closing::No => {
                part.write(&self.shard, open, |output| output.push_copied(parts))?;
                Ok(part.waiting())
            }
            _ => self.write(socket, parts.concat().into()).map(|()| 0),
        }
    }

    /// Writes bytes with low priority: only when no others wait.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_low(&self, socket: SocketId, bytes: Bytes) -> Result<(), Error> {
        self.command(socket, Action::Write { bytes, is_low: true })
    }

    /// Shuts a connection down for writing, after the bytes that wait. Reading continues.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is no open connection, as far as this shard can tell.
    pub fn finish(&self, socket: SocketId) -> Result<(), Error> {
        self.command(socket, Action::Finish)
    }

    /// Closes a socket once the waiting bytes are written; [`SocketNews::Closed`](crate::SocketNews::Closed) follows,
    /// unless it came before. Closing a socket that is not open is no error.
    ///
    /// # Errors
    /// None today.
    pub fn close(&self, socket: SocketId) -> Result<(), Error> {
        self.command(socket, Action::Close)
    }

    /// Closes a socket at once; the waiting bytes are lost.
    ///
    /// # Errors
    /// None today.
    pub fn shutdown(&self, socket: SocketId) -> Result<(), Error> {
        self.command(socket, Action::Shutdown)
    }

    /// Looks up a host: its addresses, at least one.
    ///
    /// # Errors
    /// [`Error::System`] when it has none.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let found = blocking::resolve(&self.shard, host, 0).await;
        let found = found.map_err(|what| Error::System { what })?;
        Ok(found.iter().map(SocketAddr::ip).collect())
    }

    /// Every socket of the node.
    pub fn info(&self) -> Vec<SocketInfo> {
        self.shard.sockets().registry.list()
    }

    fn command(&self, socket: SocketId, action: Action) -> Result<(), Error> {
        self.shard.send_command(Command {
            socket,
            sender: self.owner,
            action,
        })
    }
}

/// The address of a host that needs no look-up.
fn literal(host: &str) -> Option<IpAddr> {
    if host.is_empty() {
        return Some(Ipv4Addr::UNSPECIFIED.into());
    }
    host.parse().ok()
}
