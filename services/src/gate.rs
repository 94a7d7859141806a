//! A gate: takes TCP clients whose packages have two bytes of length before them (the higher first), and hands each
//! package to a service of the node, whose answer goes back to the client.
//!
//! A config starts it with its address, the service behind it, and, if 1,024 are not right, the most clients:
//! `services = { front = "gate 0.0.0.0:8888 .game 5000" }`. The service gets `("data", client, bytes)` as a call, and
//! answers with the bytes of a package for the client, or with nothing; an error as the answer closes the
//! client's connection. It gets `("open", client, address)` and `("close", client)` as sends.
//!
//! The gate itself takes `("write", client, bytes)`, with which any service sends a package to a client, and
//! `("kick", client)`.
//!
//! Invariants: packages of a client are handed over in order; one that has [`GATE_CALLS_MAX`] of them unanswered is
//! not read; a client that has declared a long package holds what it has sent.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skyring::{
    Address, Answer, Context, Error, Handle, Kind, Message, Payload, Service, SocketEvent, SocketId,
    SocketNews,
};

/// Most clients of a gate unless its arguments say otherwise.
pub const GATE_CLIENTS_MAX_DEFAULT: usize = 1_024;

/// Packages of one client that the service has not answered.
pub const GATE_CALLS_MAX: usize = 64;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1_024;

/// The largest package.
const PACKAGE_BYTES_MAX: usize = 0xffff;

struct Client {
    /// What has come and is not handed over.
    incoming: BytesMut,
    unanswered: usize,
    is_paused: bool,
    /// It sends no more; it is closed when everything is answered.
    has_ended: bool,
}

/// A gate; see the module.
pub struct Gate {
    host: String,
    port: u16,
    target: Address,
    clients_max: usize,
    listener: Option<SocketId>,
    clients: HashMap<SocketId, Client>,
    /// Which client each call that is under way is for.
    calls: HashMap<u32, SocketId>,
    session: u32,
}

impl Gate {
    /// A gate on this address (port 0: any free one, which it logs) for this service.
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

    /// Lets so many clients in.
    #[must_use]
    pub fn clients_max(mut self, clients_max: usize) -> Gate {
        self.clients_max = clients_max;
        self
    }

    /// Reads the arguments of a config: address, service, and the most clients.
    pub(crate) fn of_arguments(arguments: &str) -> Result<Gate, Error> {
        let wrong = |what: String| Error::invalid(format!("gate wants HOST:PORT SERVICE [CLIENTS]: {what}"));
        let mut words = arguments.split_whitespace();
        let address = words
            .next()
            .ok_or_else(|| wrong("there is no address".to_owned()))?;
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| wrong(format!("\"{address}\" has no port")))?;
        let port = port
            .parse()
            .map_err(|_| wrong(format!("\"{port}\" is no port")))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let target = words
            .next()
            .ok_or_else(|| wrong("there is no service".to_owned()))?;
        let target = Address::parse(target)
            .ok_or_else(|| wrong(format!("\"{target}\" is no address of a service")))?;
        let mut gate = Gate::new(host, port, target);
        if let Some(clients) = words.next() {
            gate.clients_max = clients
                .parse()
                .map_err(|_| wrong(format!("\"{clients}\" is no number of clients")))?;
        }
        match words.next() {
            Some(word) => Err(wrong(format!("\"{word}\" is one word too many"))),
            None => Ok(gate),
        }
    }

    fn target(&self, context: &Context<Self>) -> Option<Handle> {
        match &self.target {
            Address::Handle(handle) => Some(*handle),
            Address::Name(name) => context.find(name),
        }
    }

    /// Hands over the whole packages that have come, as far as the service keeps up.
    fn hand_over(&mut self, context: &Context<Self>, id: SocketId) {
        let target = self.target(context);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        while client.unanswered < GATE_CALLS_MAX {
            let Some(package) = take_package(&mut client.incoming) else {
                break;
            };
            let call = target.zip(Payload::pack(&("data", id.0, &package[..])).ok());
            let Some((target, payload)) = call else {
                context.log(format!("there is no service {} for client {id}", self.target));
                return self.close(context, id);
            };
            // 0 stands for a send, and a number that is in use for another call: both come once in 2^32.
            self.session = self.session.wrapping_add(1).max(1);
            self.calls.insert(self.session, id);
            client.unanswered += 1;
            context.post(target, Kind::LUA, self.session, payload);
        }
        let sockets = context.sockets();
        if client.unanswered >= GATE_CALLS_MAX && !client.is_paused {
            client.is_paused = true;
            // Pausing and starting are never refused.
            let _ = sockets.pause(id);
        } else if client.unanswered <= GATE_CALLS_MAX / 2 && client.is_paused {
            client.is_paused = false;
            let _ = sockets.start(id);
        }
        if client.has_ended && client.unanswered == 0 {
            self.close(context, id);
        }
    }

    /// Closes a client's connection, after what waits to be written, and forgets it.
    fn close(&mut self, context: &Context<Self>, id: SocketId) {
        if self.clients.remove(&id).is_some() {
            let _ = context.sockets().close(id);
            self.tell(context, &("close", id.0));
        }
    }

    /// Tells the service; if there is none, nobody misses it.
    fn tell<T: skyring::seri::Pack>(&self, context: &Context<Self>, values: &T) {
        let _ = context.send(self.target.clone(), values);
    }

    fn write(&self, context: &Context<Self>, id: SocketId, body: &[u8]) -> Result<(), Error> {
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
        self.tell(context, &("open", id.0, peer));
        let _ = context.sockets().start(id);
    }
}

/// Cuts the next whole package off.
fn take_package(incoming: &mut BytesMut) -> Option<Bytes> {
    let length: [u8; 2] = incoming.get(..2)?.try_into().ok()?;
    let length = usize::from(u16::from_be_bytes(length));
    if incoming.len() < 2 + length {
        return None;
    }
    incoming.advance(2);
    Some(incoming.split_to(length).freeze())
}

impl Service for Gate {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        let listener = context.sockets().listen(&self.host, self.port, BACKLOG)?;
        self.listener = Some(listener);
        context.sockets().start(listener)
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let values = message.unpack::<(&str, u32, Option<&[u8]>)>();
        let done = match values {
            Ok(("write", client, Some(bytes))) => self.write(context, SocketId(client), bytes),
            Ok(("kick", client, _)) => {
                self.close(context, SocketId(client));
                Ok(())
            }
            Ok((command, ..)) => Err(Error::remote(format!(
                "a gate knows write and kick, and not {command}"
            ))),
            Err(error) => Err(error),
        };
        Answer::from(done.and_then(|()| Payload::pack(&())))
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        let Some(id) = self.calls.remove(&session) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.unanswered = client.unanswered.saturating_sub(1);
        let written = result.and_then(|payload| match payload.unpack::<Option<&[u8]>>()? {
            Some(body) => self.write(context, id, body),
            None => Ok(()),
        });
        if let Err(error) = written {
            context.log(format!("client {id} is closed: {error}"));
            return self.close(context, id);
        }
        self.hand_over(context, id);
    }

    fn socket(&mut self, context: &Context<Self>, event: SocketEvent) {
        let id = event.socket;
        match event.news {
            SocketNews::Accepted { socket, peer } => self.accept(context, socket, &peer.to_string()),
            SocketNews::Data(bytes) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.incoming.extend_from_slice(&bytes);
                    self.hand_over(context, id);
                }
            }
            SocketNews::Closed => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.has_ended = true;
                    self.hand_over(context, id);
                }
            }
            SocketNews::Failed { cause } if Some(id) == self.listener => {
                context.log(format!("cannot take a client: {cause}"));
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
    fn packages_are_cut_off_when_they_are_whole() {
        let mut incoming = BytesMut::from(&b"\0\x03one\0\0\0\x04fo"[..]);
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b"one"[..]));
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b""[..]));
        assert_eq!(take_package(&mut incoming), None);
        incoming.extend_from_slice(b"ur");
        assert_eq!(take_package(&mut incoming).as_deref(), Some(&b"four"[..]));
        assert!(incoming.is_empty());
    }

    #[test]
    fn arguments_that_are_wrong_say_what_is_wanted() {
        for (arguments, part) in [
            ("", "no address"),
            ("8888 .game", "has no port"),
            ("127.0.0.1:x .game", "is no port"),
            ("127.0.0.1:80", "no service"),
            ("127.0.0.1:80 game", "no address of a service"),
            ("127.0.0.1:80 .game many", "no number of clients"),
            ("127.0.0.1:80 .game 5 6", "one word too many"),
        ] {
            let error = Gate::of_arguments(arguments)
                .map(|_| ())
                .expect_err(arguments)
                .to_string();
            assert!(
                error.contains(part) && error.contains("HOST:PORT SERVICE [CLIENTS]"),
                "{error}"
            );
        }
        let gate = Gate::of_arguments("[::1]:80 @game 7").expect("it is right");
        assert_eq!((gate.host.as_str(), gate.port, gate.clients_max), ("::1", 80, 7));
    }
}
