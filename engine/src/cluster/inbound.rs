//! A connection that a peer opened: its requests come in, their answers go out.
//!
//! Bounds: a connection is not read while too many answers wait for it or too many of its requests are
//! being handled; it is closed when it sends what is not the protocol, when it does not finish its first
//! package, and when it takes no bytes for too long while answers wait.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{CalleeLimits, CalleeLink, Request as WireRequest};
use skyring_codec::seri;
use skyring_codec::skynet::RequestAddress;

use crate::cluster::connection::Connection;
use crate::cluster::listener::Admission;
use crate::error::Error;
use crate::rt;
use crate::rt::stream::Stream;
use crate::service::handle::{Address, Handle};
use crate::service::message::{Kind, Payload};
use crate::shard::Shard;
use crate::shard::envelope::{ReplyTo, Request};
use crate::shard::slab::Key;

/// Answers that may wait for one connection, in bytes; past it the connection is not read.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Requests of one connection that may be handled at a time; past it the connection is not read.
pub(crate) const REQUESTS_HANDLED_MAX: usize = 65_536;

/// Time for the first whole package, and for the rest of one that was begun, in milliseconds.
pub(crate) const PACKAGE_TIME_MS_MAX: Millis = 10_000;

/// Time that a connection may take no bytes while answers wait, in milliseconds.
pub(crate) const STALL_TIME_MS_MAX: Millis = 30_000;

/// Bytes that unfinished messages and waiting answers may hold on all connections of one shard together;
/// past it the connection that goes on growing is closed.
pub(crate) const SHARD_BYTES_MAX: usize = 512 << 20;

/// Requests between two looks at the clock.
const REQUESTS_PER_LOOK: u32 = 64;

/// Reads in a row that found bytes at once before other connections get their turn.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Why a connection was closed by this side.
enum Closed {
    Malformed(String),
    TooMuchHeld,
    ByPeer,
}

/// An accepted connection; see the module.
pub(crate) struct Inbound {
    connection: Rc<Connection<CalleeLink>>,
    peer: SocketAddr,
    key: Cell<Key>,
    handled_now: Cell<usize>,
    last_read: Cell<Millis>,
    /// Bytes counted for it in the shard's sum.
    held: Cell<usize>,
    /// Requests that the link had refused when it was looked at last.
    refused: Cell<u64>,
    /// Its place among the listener's clients, given back when it goes.
    _admission: Arc<Admission>,
}

impl Inbound {
    pub(crate) fn new(peer: SocketAddr, admission: Arc<Admission>, now: Millis) -> Rc<Inbound> {
        let limits = CalleeLimits {
            out_buffer_bytes_max: ANSWER_BYTES_MAX,
            ..CalleeLimits::default()
        };
        Rc::new(Inbound {
            connection: Connection::new(CalleeLink::new(limits)),
            peer,
            key: Cell::new(Key::from_u64(0)),
            handled_now: Cell::new(0),
            last_read: Cell::new(now),
            held: Cell::new(0),
            refused: Cell::new(0),
            _admission: admission,
        })
    }

    /// Tells the connection its key.
    pub(crate) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Ends the connection.
    pub(crate) fn shutdown(&self) {
        self.connection.shutdown();
        self.connection.written.wake();
    }

    /// Takes the answer to one of its requests.
    pub(crate) fn respond(&self, shard: &Rc<Shard>, session: u32, result: Result<Payload, Error>) {
        self.handled_now.set(self.handled_now.get().saturating_sub(1));
        {
            let mut link = self.connection.link.borrow_mut();
            match result {
                Ok(payload) => link.respond(session, Ok(payload.0)),
                Err(error) => link.respond(session, Err(error.to_string().as_bytes())),
            }
        }
        self.connection.flush_later(shard);
        // The reader may be waiting for room.
        self.connection.written.wake();
    }

    /// Looks whether it has been silent or stalled for too long.
    pub(crate) fn sweep(&self, shard: &Shard) {
        let now = shard.now();
        let unread = now.saturating_sub(self.last_read.get());
        let (fresh, partial) = {
            let link = self.connection.link.borrow();
            (link.requests_seen() == 0, link.has_partial_input())
        };
        if let Some(since) = self.connection.blocked_since()
            && now.saturating_sub(since) > STALL_TIME_MS_MAX
        {
            shard.node.metrics.connections_stalled.add(1);
            shard.cluster.log_case(shard, Case::Stalled, || {
                format!(
                    "{} took no bytes for {} s while answers waited",
                    self.peer,
                    STALL_TIME_MS_MAX / 1000
                )
            });
            self.shutdown();
        } else if (fresh || partial) && unread > PACKAGE_TIME_MS_MAX && !self.is_full() {
            shard.node.metrics.connections_silent.add(1);
            shard.cluster.log_case(shard, Case::Silent, || {
                format!(
                    "{} did not finish a package within {} s",
                    self.peer,
                    PACKAGE_TIME_MS_MAX / 1000
                )
            });
            self.shutdown();
        }
    }

    fn is_full(&self) -> bool {
        self.handled_now.get() >= REQUESTS_HANDLED_MAX || self.connection.link.borrow().is_output_full()
    }

    /// Counts what it holds in the shard's sum; false when that is too much and this one has grown.
    fn count_held(&self, shard: &Shard) -> bool {
        let held = self.connection.link.borrow().held_bytes();
        let before = self.held.replace(held);
        let total = shard.cluster.count_held(before, held);
        total <= SHARD_BYTES_MAX || held <= before
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(self: Rc<Self>, shard: Rc<Shard>, stream: Rc<Stream>) {
        self.connection.attach(Rc::clone(&stream));
        let closed = self.serve(&shard, &stream).await;
        match closed {
            Closed::ByPeer => {}
            Closed::Malformed(error) => {
                shard.node.metrics.connections_malformed.add(1);
                shard.cluster.log_case(&shard, Case::Malformed, || {
                    format!("{} does not speak the cluster protocol: {error}", self.peer)
                });
            }
            Closed::TooMuchHeld => {
                shard.node.metrics.messages_too_large.add(1);
                shard.cluster.log_case(&shard, Case::TooMuchHeld, || {
                    format!(
                        "{}: unfinished messages and answers hold {SHARD_BYTES_MAX} bytes",
                        self.peer
                    )
                });
            }
        }
        self.connection.detach();
        shard.cluster.count_held(self.held.take(), 0);
        shard.cluster.remove_inbound(self.key.get());
    }

    async fn serve(&self, shard: &Rc<Shard>, stream: &Stream) -> Closed {
        let mut reads_in_a_row = 0;
        loop {
            let (chunk, waited) = match stream.read(&shard.read_buffer).await {
                Ok((chunk, _)) if chunk.is_empty() => return Closed::ByPeer,
                Ok(read) => read,
                Err(_) => return Closed::ByPeer,
            };
            if waited {
                shard.io_seen();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            self.last_read.set(shard.now());
            self.connection.link.borrow_mut().receive(chunk);
            if let Err(error) = self.take_requests(shard).await {
                return Closed::Malformed(error);
            }
            if !self.count_held(shard) {
                return Closed::TooMuchHeld;
            }
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.io_seen();
            }
        }
    }

    /// Passes on every request that has come, as fast as answers can be taken.
    async fn take_requests(&self, shard: &Rc<Shard>) -> Result<(), String> {
        let started = Instant::now();
        let mut taken = 0u32;
        loop {
            if self.is_full() {
                shard.node.metrics.reads_paused.add(1);
                while self.is_full() && self.connection.is_attached() {
                    shard.request_turn();
                    self.connection.written.wait().await;
                }
            }
            let request = self.connection.link.borrow_mut().poll_event();
            match request {
                Ok(Some(request)) => self.take_request(shard, request),
                Ok(None) => break,
                Err(error) => return Err(error.to_string()),
            }
            taken += 1;
            if taken.is_multiple_of(REQUESTS_PER_LOOK) && Shard::is_turn_over(started) {
                rt::relax().await;
                shard.io_seen();
            }
        }
        let refused = self.connection.link.borrow().requests_refused();
        let before = self.refused.replace(refused);
        if refused > before {
            shard.node.metrics.messages_too_large.add(refused - before);
            shard.cluster.log_case(shard, Case::TooLarge, || {
                format!("{} sent a message that is too large; it was refused", self.peer)
            });
            self.connection.flush_later(shard);
        }
        Ok(())
    }

    fn take_request(&self, shard: &Rc<Shard>, request: WireRequest) {
        let session = request.session;
        let reply_to = match session {
            0 => ReplyTo::Nobody,
            session => {
                self.handled_now.set(self.handled_now.get() + 1);
                ReplyTo::Connection {
                    shard: shard.index as u16,
                    connection: self.key.get(),
                    session,
                }
            }
        };
        let target = match request.address {
            RequestAddress::Handle(0) => {
                let answer = query_name(shard, &request.payload);
                return shard.reply(reply_to, answer);
            }
            RequestAddress::Handle(handle) => Some(Handle(handle)),
            RequestAddress::Name(name) => resolve_name(shard, &name),
        };
        let Some(target) = target else {
            // The words that Skynet uses, which its users' programs may look for.
            return shard.refuse(reply_to, Error::remote("Invalid name"));
        };
        shard.request(Request {
            target,
            source: Handle::NONE,
            kind: Kind::LUA,
            payload: Payload(request.payload),
            reply_to,
            deadline: None,
        });
    }
}

/// Answers a query: the packed handle behind a packed name that comes without its `@`.
fn query_name(shard: &Shard, payload: &Bytes) -> Result<Payload, Error> {
    let name: &str = seri::unpack(payload).map_err(|_| Error::remote("name not found"))?;
    let handle = shard.names.read(|names| names.resolve(&format!("@{name}")));
    match handle {
        Some(handle) => Payload::pack(&handle.0),
        None => Err(Error::remote("name not found")),
    }
}

/// The service behind a name in a request: `@name`, `.name`, `:hex` or a number.
fn resolve_name(shard: &Shard, name: &[u8]) -> Option<Handle> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(handle) = shard.names.read(|names| names.resolve(name)) {
        return Some(handle);
    }
    match Address::parse(name)? {
        Address::Handle(handle) => Some(handle),
        Address::Name(_) => None,
    }
}

/// What is logged once in a while however often it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Malformed,
    Silent,
    Stalled,
    TooLarge,
    TooMuchHeld,
}

impl Case {
    /// How many cases there are.
    pub(crate) const COUNT: usize = 5;
}
