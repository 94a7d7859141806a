//! A gate: accepts TCP clients and passes each of their packages to a service of the node, whose answer goes back to the
//! client. A package is preceded by its length, two bytes, big-endian.
//!
//! A config starts it with its address, the target service and, optionally, the largest number of clients (1,024 by
//! default): `services = { front = "gate 0.0.0.0:8888 .game 5000" }`. The service gets `("data", client, bytes)` as a
//! call and answers with the bytes of a package for the client, or with nothing; if it answers with an error, the gate
//! closes the client's connection. It gets `("open", client, address)` and `("close", client)` as sends.
//!
//! The gate itself accepts `("write", client, bytes)`, with which any service sends a package to a client, and
//! `("kick", client)`, which closes a client's connection.
//!
//! Invariants: the packages of a client reach the service in order; a client with [`GATE_CALLS_MAX`] unanswered packages
//! is not read; a client that has declared a long package takes only the memory of the bytes it has sent.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skyring::{Address, Context, Error, Handle, Kind, Payload, SocketEvent, SocketId, SocketNews};

/// Default for the largest number of clients of a gate.
pub const GATE_CLIENTS_MAX_DEFAULT: usize = 1_024;

/// Most packages of one client that the service has not answered yet.
pub const GATE_CALLS_MAX: usize = 64;

/// Connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1_024;

/// Most bytes of a package without its length.
const PACKAGE_BYTES_MAX: usize = 0xffff;

struct Client {
    /// Received bytes that are not yet passed to the service.
    incoming: BytesMut,
    unanswered: usize,
    is_paused: bool,
    /// The client sends no more. Its connection is closed when all its packages are answered.
    has_ended: bool,
}

/// A gate: see the module documentation.
pub struct Gate {
    host: String,
    port: u16,
    target: Address,
    clients_max: usize,
    listener: Option<SocketId>,
    clients: HashMap<SocketId, Client>,
    /// The client of each call in flight, by session.
    calls: HashMap<u32, SocketId>,
    session: u32,
}

impl Gate {
    /// A gate that listens on this address and passes packages to `target`. With port 0 it takes a free port and logs
    /// it.
    pub fn new(host: &str, port: u16, target: impl Into<Address>) -> Gate {
        Gate {
            host: host.to_owned(),
            port,
            target: target.into(),
            clients_max: GATE_CLIENTS_MAX_DEFAULT,
            listener: None,
            clients: HashMap::new(),
            calls: HashMap::new(),
            session: 0,
        }
    }

    /// Sets the largest number of clients.
    #[must_use]
    pub fn clients_max(mut self, clients_max: usize) -> Gate {
        self.clients_max = clients_max;
        self
    }

    /// Parses the arguments in a config: address, service, and optionally the largest number of clients.
    pub(crate) fn from_arguments(arguments: &str) -> Result<Gate, Error> {
        let invalid =
            |cause: String| Error::invalid(format!("gate expects HOST:PORT SERVICE [CLIENTS]: {cause}"));
        let mut tokens = arguments.split_whitespace();
        let address = tokens
            .next()
            .ok_or_else(|| invalid("the address is missing".to_owned()))?;
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| invalid(format!("\"{address}\" has no port")))?;
        let port = port
            .parse()
            .map_err(|_| invalid(format!("\"{port}\" is not a port")))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let target = tokens
            .next()
            .ok_or_else(|| invalid("the service is missing".to_owned()))?;
        let target = Address::parse(target)
            .ok_or_else(|| invalid(format!("\"{target}\" is not the address of a service")))?;
        let mut gate = Gate::new(host, port, target);
        if let Some(clients) = tokens.next() {
            gate.clients_max = clients
                .parse()
                .map_err(|_| invalid(format!("\"{clients}\" is not a number of clients")))?;
        }
        match tokens.next() {
            Some(token) => Err(invalid(format!("unexpected argument \"{token}\""))),
            None => Ok(gate),
        }
    }

    fn find_target(&self, context: &Context<Self>) -> Option<Handle> {
        match &self.target {
            Address::Handle(handle) => Some(*handle),
            Address::Name(name) => context.find(name),
        }
    }

    /// Passes complete packages to the service until [`GATE_CALLS_MAX`] are unanswered.
    fn forward_packages(&mut self, context: &Context<Self>, id: SocketId) {
        let target = self.find_target(context);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        while client.unanswered < GATE_CALLS_MAX {
            let Some(package) = take_package(&mut client.incoming) else {
                break;
            };
            let call = target.zip(Payload::pack(&("data", id.0, &package[..])).ok());
            let Some((target, payload)) = call else {
                context.log(format!(
                    "client {id} is closed: there is no service {}",
                    self.target
                ));
                return self.close(context, id);
            };
            // Session 0 means a send, so it is skipped. A session repeats after 2^32 calls, when the earlier one is answered.
            self.session = self.session.wrapping_add(1).max(1);
            self.calls.insert(self.session, id);
            client.unanswered += 1;
            context.post(target, Kind::LUA, self.session, payload);
        }
        let sockets = context.sockets();
        if client.unanswered >= GATE_CALLS_MAX && !client.is_paused {
            client.is_paused = true;
            // Pausing and starting cannot fail.
            let _ = sockets.pause(id);
        } else if client.unanswered <= GATE_CALLS_MAX / 2 && client.is_paused {
            client.is_paused = false;
            let _ = sockets.start(id);
        }
        if client.has_ended && client.unanswered == 0 {
            self.close(context, id);
        }
    }

    /// Closes a client's connection once its queued bytes are written, and removes the client.
    fn close(&mut self, context: &Context<Self>, id: SocketId) {
        if self.clients.remove(&id).is_some() {
            let _ = context.sockets().close(id);
            self.notify(context, &("close", id.0));
        }
    }

    /// Sends an event to the service. If the service is gone, the event is dropped.
    fn notify<T: skyring::seri::Pack>(&self, context: &Context<Self>, values: &T) {
        let _ = context.send(self.target.clone(), values);
    }

    fn write_package(&self, context: &Context<Self>, id: SocketId, body: &[u8]) -> Result<(), Error> {
        if !self.clients.contains_key(&id) {
            return Err(Error::remote(format!("the gate has no client {id}")));
        }
        if body.len() > PACKAGE_BYTES_MAX {
            return Err(Error::TooLarge {
                bytes: body.len() as u64,
                limit: PACKAGE_BYTES_MAX as u64,
            });
        }
        let mut package = BytesMut::with_capacity(2 + body.len());
        package.put_u16(body.len() as u16);
        package.put_slice(body);
        context.sockets().write(id, package.freeze())
    }

    fn accept(&mut self, context: &Context<Self>, id: SocketId, peer: &str) {
        if self.clients.len() >= self.clients_max {
            let _ = context.sockets().shutdown(id);
            return;
        }
        let client = Client {
            incoming: BytesMut::new(),
            unanswered: 0,
            is_paused: false,
            has_ended: false,
        };
        self.clients.insert(id, client);
        self.notify(context, &("open", id.0, peer));
        let _ = context.sockets().start(id);
    }
}

/// Removes the next complete package from the front of the buffer.
fn take_package(incoming: &mut BytesMut) -> Option<Bytes> {
    let length: [u8; 2] = incoming.get(..2)?.try_into().ok()?;
    let length = usize::from(u16::from_be_bytes(length));
    if incoming.len() < 2 + length {
        return None;
    }
    incoming.advance(2);
    Some(incoming.split_to(length).freeze())
}

/// Accepts TCP clients, and passes their packages to a service.
#[skyring::service]
impl Gate {
    #[start]
    fn listen(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let listener = context.sockets().listen(&self.host, self.port, BACKLOG)?;
        self.listener = Some(listener);
        context.sockets().start(listener)
    }

    /// Writes a package to a client.
    ///
    /// # Errors
    /// The gate has no such client, or the package is too large.
    pub fn write(&self, context: &Context<Self>, client: u32, bytes: &[u8]) -> Result<(), Error> {
        self.write_package(context, SocketId(client), bytes)
    }

    /// Closes the connection of a client.
    pub fn kick(&mut self, context: &Context<Self>, client: u32) {
        self.close(context, SocketId(client));
    }

    #[answered]
    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let Some(id) = self.calls.remove(&session) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.unanswered = client.unanswered.saturating_sub(1);
        let written = result.and_then(|payload| match payload.unpack::<Option<&[u8]>>()? {
            Some(body) => self.write_package(context, id, body),
            None => Ok(()),
        });
        if let Err(error) = written {
            context.log(format!("client {id} is closed: {error}"));
            return self.close(context, id);
        }
        self.forward_packages(context, id);
    }

    #[socket]
    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let id = event.socket;
        match event.news {
            SocketNews::Accepted { socket, peer } => self.accept(context, socket, &peer.to_string()),
            SocketNews::Data(bytes) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.incoming.extend_from_slice(&bytes);
                    self.forward_packages(context, id);
                }
            }
            SocketNews::Closed => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.has_ended = true;
                    self.forward_packages(context, id);
                }
            }
            SocketNews::Failed { cause } if Some(id) == self.listener => {
                context.log(format!("cannot accept a client: {cause}"));
            }
            SocketNews::Failed { .. } => self.close(context, id),
            SocketNews::Opened { address, port } if Some(id) == self.listener && port != 0 => {
                context.log(format!("Listen on {address}:{port}"));
            }
            SocketNews::Opened { .. } | SocketNews::Datagram { .. } | SocketNews::Warning { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_taken_once_it_is_complete() {
        let mut incoming = BytesMut::from(&b"\0\x03one\0\0\0\x04fo"[..]);
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b"one"[..]));
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b""[..]));
        assert_eq!(take_package(&mut incoming), None);
        incoming.extend_from_slice(b"ur");
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b"four"[..]));
        assert!(incoming.is_empty());
    }

    #[test]
    fn an_invalid_argument_is_an_error_that_shows_the_syntax() {
        for (arguments, part) in [
            ("", "address is missing"),
            ("8888 .game", "has no port"),
            ("127.0.0.1:x .game", "is not a port"),
            ("127.0.0.1:80", "service is missing"),
            ("127.0.0.1:80 game", "not the address of a service"),
            ("127.0.0.1:80 .game many", "not a number of clients"),
            ("127.0.0.1:80 .game 5 6", "unexpected argument \"6\""),
        ] {
            let error = Gate::from_arguments(arguments)
                .map(|_| ())
                .expect_err(arguments)
                .to_string();
            assert!(
                error.contains(part) && error.contains("HOST:PORT SERVICE [CLIENTS]"),
                "{error}"
            );
        }
        let gate = Gate::from_arguments("[::1]:80 @game 7").expect("valid arguments");
        assert_eq!((gate.host.as_str(), gate.port, gate.clients_max), ("::1", 80, 7));
    }
}
