//! The state of an inbound connection.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLimits, CalleeLink, Dialect};
use skyring_codec::native::{Hello, NONCE_BYTES};

use crate::cluster::accepting::admission::Admission;
use crate::cluster::accepting::budget::Budget;
use crate::cluster::accepting::inbound::permit::Permit;
use crate::cluster::accepting::sessions::DetachedPlace;
use crate::cluster::signs_of_life::SignOfLife;
use crate::config::Security;
use crate::core::connection::Connection;
use crate::core::slab::Key;

/// Answers that may wait for one connection, in bytes; past it the connection is not read.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Requests and sends of one connection that may be in progress; past it the connection is not read.
pub const REQUESTS_HANDLED_MAX: usize = 65_536;

/// Bytes of one connection's requests and sends that may be in progress; past it the connection is not read. A larger
/// one is handled alone.
pub const UNFINISHED_BYTES_MAX: usize = 4 << 20;

/// The requests and sends in progress, and the bytes of their payloads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) fn with(self, bytes: usize) -> Load {
        Load {
            requests: self.requests + 1,
            bytes: self.bytes + bytes,
        }
    }

    pub(super) fn without(self, bytes: usize) -> Load {
        Load {
            requests: self.requests.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    pub(super) fn is_full(self) -> bool {
        self.requests >= REQUESTS_HANDLED_MAX || self.bytes >= UNFINISHED_BYTES_MAX
    }
}

/// The progress of its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// When the last package was finished or the next one begun.
    pub(super) at: Millis,
    /// The packages that the link had seen then.
    pub(super) packages: u64,
    /// A package was unfinished after the last read.
    pub(super) is_unfinished: bool,
}

/// A session without a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detached {
    pub(super) since: Millis,
    /// Its place among those of its shard.
    pub(super) place: DetachedPlace,
}

/// The other end.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Its name in the hello.
    pub(super) node: String,
    /// A hello that was received and not answered.
    pub(super) hello: Option<Box<Hello>>,
    /// The secret of its session.
    pub(super) secret: Option<[u8; NONCE_BYTES]>,
    /// Its session is detached.
    pub(super) detached: Option<Detached>,
    /// Its admission to the listener; `None` while it is detached.
    pub(super) admission: Option<Arc<Admission>>,
}

/// An inbound connection; see the module.
pub(in crate::cluster) struct Inbound {
    pub(super) connection: Rc<Connection<CalleeLink>>,
    pub(super) key: Cell<Key>,
    /// Since when it waits for the proof of the cluster secret.
    pub(super) waiting_since: Cell<Option<Millis>>,
    pub(super) load: Cell<Load>,
    pub(super) progress: Cell<Progress>,
    pub(super) peer: RefCell<Peer>,
    /// The services that the peer may call.
    pub(super) permit: RefCell<Permit>,
    /// The memory counters of the shard.
    pub(super) budget: Rc<Budget>,
    /// Bytes counted for it in the shard's sum.
    pub(super) held: Cell<usize>,
    /// When the peer's process was heard last, on any connection; `None` in the skynet dialect.
    pub(super) sign_of_life: RefCell<Option<SignOfLife>>,
    /// It was read or answered since the last sweep.
    pub(super) is_active: Cell<bool>,
    /// It is dispatching requests, and counts its memory after that.
    pub(super) is_dispatching: Cell<bool>,
    /// The requests that the link had refused at the last check.
    pub(super) refused: Cell<u64>,
    /// The deadline that the shard's timer is set for.
    pub(super) armed: Cell<Millis>,
}

/// The link of a connection from this address, before it has begun with TLS.
fn new_link(security: Option<&Security>, address: SocketAddr) -> CalleeLink {
    match security {
        Some(security) => CalleeLink::with_access(limits(), security.plain_access(address.ip())),
        None => CalleeLink::new(limits()),
    }
}

/// The limits of links.
pub(super) fn limits() -> CalleeLimits {
    CalleeLimits {
        out_buffer_bytes_max: ANSWER_BYTES_MAX,
        ..CalleeLimits::default()
    }
}

impl Inbound {
    pub(in crate::cluster) fn new(
        address: SocketAddr,
        admission: Arc<Admission>,
        security: Option<&Security>,
        budget: &Rc<Budget>,
        now: Millis,
    ) -> Rc<Inbound> {
        Rc::new(Inbound {
            connection: Connection::new(new_link(security, address)),
            waiting_since: Cell::new(None),
            key: Cell::new(Key::from_u64(0)),
            load: Cell::default(),
            progress: Cell::new(Progress {
                at: now,
                packages: 0,
                is_unfinished: false,
            }),
            peer: RefCell::new(Peer {
                address,
                node: String::new(),
                hello: None,
                secret: None,
                detached: None,
                admission: Some(admission),
            }),
            permit: RefCell::default(),
            budget: Rc::clone(budget),
            held: Cell::new(0),
            sign_of_life: RefCell::default(),
            is_active: Cell::new(true),
            is_dispatching: Cell::new(false),
            refused: Cell::new(0),
            armed: Cell::new(Millis::MAX),
        })
    }

    /// Sets its key among the shard's inbound connections.
    pub(in crate::cluster) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Its key among the shard's inbound connections.
    pub(in crate::cluster) fn key(&self) -> Key {
        self.key.get()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.peer.borrow().address
    }

    /// The peer's name in its hello.
    pub(in crate::cluster) fn node(&self) -> String {
        self.peer.borrow().node.clone()
    }

    /// Since when it is detached; `None`: it is attached or has ended.
    pub(in crate::cluster) fn detached_since(&self) -> Option<Millis> {
        self.peer.borrow().detached.map(|detached| detached.since)
    }

    /// Ends the connection.
    pub(in crate::cluster) fn shutdown(&self) {
        self.connection.shutdown();
    }

    /// Shuts the connection down for writing; written answers still arrive.
    pub(in crate::cluster) fn close_for_writing(&self) {
        self.connection.close_for_writing();
    }

    /// Whether the peer understands a goodbye, and then closes the connection itself.
    pub(in crate::cluster) fn supports_goodbye(&self) -> bool {
        self.connection.link.borrow().dialect() == Dialect::Native
    }

    /// Whether it has no request in progress, no partial input and no unwritten output.
    pub(in crate::cluster) fn has_finished(&self) -> bool {
        let link = self.connection.link.borrow();
        self.load.get().requests == 0
            && !link.has_output()
            && !link.has_partial_input()
            && !self.connection.has_sealed()
    }

    /// Whether reading must pause, because too many requests are in progress or too many answers wait to be written.
    pub(super) fn is_full(&self) -> bool {
        self.load.get().is_full() || self.connection.link.borrow().is_output_full()
    }

    /// Bytes counted for it.
    pub(in crate::cluster) fn held(&self) -> usize {
        self.held.get()
    }

    /// Restarts the time for the next package.
    pub(super) fn set_progressed(&self, now: Millis) {
        let progress = self.progress.get();
        self.progress.set(Progress { at: now, ..progress });
    }
}
