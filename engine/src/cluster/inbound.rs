//! A connection that a peer opened: its requests come in, their answers go out.
//!
//! Bounds: a connection is not read while too many answers wait for it or too many of its requests are
//! being handled; it is closed when it sends what is not the protocol, when it does not finish a package
//! that it began, and when it takes no bytes for too long while answers wait. What all connections of a
//! shard hold together is bounded by their [`budget`](super::budget).
//!
//! Invariants: every request and every send that is taken is counted until it is answered or over, once;
//! a connection that has ended holds nothing, waits for nothing, and is logged and counted once, unless its
//! [session](session) goes on.

mod requests;
mod session;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skyring_codec::Millis;
use skyring_codec::link::{CalleeLimits, CalleeLink, Dialect};
use skyring_codec::native::{CHANNELS_MAX, Hello, NONCE_BYTES};

use crate::cluster::budget::HELD_BYTES_MAX;
use crate::cluster::clients::Admission;
use crate::cluster::connection::Connection;
use crate::cluster::sessions::Holder;
use crate::error::Error;
use crate::rt;
use crate::rt::stream::Stream;
use crate::rt::timer::sleep_or_wake;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::service::placement::shard_of_channel;
use crate::shard::Shard;
use crate::shard::envelope::Envelope;
use crate::shard::slab::Key;

/// Answers that may wait for one connection, in bytes; past it the connection is not read.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Requests and sends of one connection that may be handled at a time; past it the connection is not read.
pub const REQUESTS_HANDLED_MAX: usize = 65_536;

/// Bytes of one connection's requests and sends that may be handled at a time; past it the connection is not
/// read. One that is larger is handled alone.
pub const UNFINISHED_BYTES_MAX: usize = 4 << 20;

/// Time for the first package, for the rest of one that was begun, and between the packages of an
/// unfinished message, in milliseconds.
pub const PACKAGE_TIME_MS_MAX: Millis = 10_000;

/// Time that a connection may take no bytes while answers wait, in milliseconds.
pub const STALL_TIME_MS_MAX: Millis = 30_000;

/// How often a connection that is not read tells its peer that this end lives, in milliseconds: well within
/// the time after which peers call a node down.
const SIGN_OF_LIFE_PAUSE_MS: Millis = 250;

/// Reads in a row that found bytes at once before other connections get their turn.
const READS_IN_A_ROW_MAX: u32 = 16;

/// Why a connection is over.
enum Closed {
    Malformed(String),
    /// Its peer ended it, or this side did and has said so already.
    Ended,
    /// It is a channel that another shard owns.
    Moved(usize, Box<Hello>),
    /// It goes on with a session that another one has.
    Resumes(Rc<Inbound>, Box<Hello>),
}

/// An accepted connection; see the module.
pub(crate) struct Inbound {
    connection: Rc<Connection<CalleeLink>>,
    peer: Cell<SocketAddr>,
    key: Cell<Key>,
    /// Requests and sends that are being handled, and the bytes of their payloads.
    handled_now: Cell<usize>,
    handled_bytes: Cell<usize>,
    /// When the last package was finished or the next one begun.
    progressed: Cell<Millis>,
    /// Packages that the link had seen then.
    packages: Cell<u64>,
    /// Something was begun and not finished when it was read last.
    unfinished: Cell<bool>,
    /// It was read or answered since the last sweep.
    active: Cell<bool>,
    /// It is passing on what it has received, and counts what it holds after that.
    passing_on: Cell<bool>,
    /// Bytes counted for it in the shard's sum.
    held: Cell<usize>,
    /// Requests that the link had refused when it was looked at last.
    refused: Cell<u64>,
    /// A hello that has come and awaits its answer.
    hello: RefCell<Option<Box<Hello>>>,
    /// The name that its peer gave itself in the hello.
    node: RefCell<String>,
    /// The secret under which its session is found.
    secret: Cell<Option<[u8; NONCE_BYTES]>>,
    /// Since when its session has no connection.
    detached_since: Cell<Option<Millis>>,
    /// The deadline that the shard's timer is set for.
    armed: Cell<Millis>,
    /// Its place among the listener's clients, given back when it goes.
    admission: RefCell<Option<Arc<Admission>>>,
}

fn new_link() -> CalleeLink {
    CalleeLink::new(CalleeLimits {
        out_buffer_bytes_max: ANSWER_BYTES_MAX,
        ..CalleeLimits::default()
    })
}

impl Inbound {
    pub(crate) fn new(peer: SocketAddr, admission: Arc<Admission>, now: Millis) -> Rc<Inbound> {
        Rc::new(Inbound {
            connection: Connection::new(new_link()),
            peer: Cell::new(peer),
            key: Cell::new(Key::from_u64(0)),
            handled_now: Cell::new(0),
            handled_bytes: Cell::new(0),
            progressed: Cell::new(now),
            packages: Cell::new(0),
            unfinished: Cell::new(false),
            active: Cell::new(true),
            passing_on: Cell::new(false),
            held: Cell::new(0),
            refused: Cell::new(0),
            hello: RefCell::new(None),
            node: RefCell::default(),
            secret: Cell::new(None),
            detached_since: Cell::new(None),
            armed: Cell::new(Millis::MAX),
            admission: RefCell::new(Some(admission)),
        })
    }

    /// Tells the connection its key.
    pub(crate) fn set_key(&self, key: Key) {
        self.key.set(key);
    }

    /// Ends the connection.
    pub(crate) fn shutdown(&self) {
        self.connection.shutdown();
    }

    /// Tells the peer that this node stops, as far as it can be told.
    pub(crate) fn say_goodbye(&self, shard: &Rc<Shard>) {
        self.connection.link.borrow_mut().goodbye();
        self.connection.flush_later(shard);
    }

    /// Whether the peer can be told goodbye, and closes the connection itself then.
    pub(crate) fn hears_goodbye(&self) -> bool {
        self.connection.link.borrow().dialect() == Dialect::Native
    }

    /// Whether nothing of it is being handled, half read or unwritten.
    pub(crate) fn is_finished(&self) -> bool {
        let link = self.connection.link.borrow();
        self.handled_now.get() == 0 && !link.has_output() && !link.has_partial_input()
    }

    /// Says that no more answers will come; those that were written still arrive.
    pub(crate) fn close_for_writing(&self) {
        self.connection.close_for_writing();
    }

    /// Takes the answer to one of its requests, which had `bytes`.
    pub(crate) fn respond(
        &self,
        shard: &Rc<Shard>,
        session: u32,
        bytes: usize,
        result: Result<Payload, Error>,
    ) {
        self.handled_now.set(self.handled_now.get().saturating_sub(1));
        self.handled_bytes
            .set(self.handled_bytes.get().saturating_sub(bytes));
        // A session takes answers without a connection too, and until it is noticed that there is none.
        let has_session = || self.connection.link.borrow().session_secret().is_some();
        if session != 0 && (self.connection.is_open() || has_session()) {
            {
                let mut link = self.connection.link.borrow_mut();
                match result {
                    Ok(payload) => link.respond(session, Ok(payload.0)),
                    Err(error) => {
                        link.respond_error(session, error.wire_code(), error.to_string().as_bytes())
                    }
                }
            }
            self.active.set(true);
            self.connection.message_put(shard);
            // While it passes requests on, its reader counts what all of them came to.
            if !self.passing_on.get() {
                self.count_held(shard);
            }
        }
        // The reader may be waiting for room.
        self.connection.written.wake();
    }

    /// Looks whether it has been silent or stalled for too long, and takes back memory that it does not
    /// use.
    pub(crate) fn sweep(&self, shard: &Rc<Shard>) {
        if !self.connection.is_open() {
            return self.sweep_detached(shard);
        }
        if !self.active.replace(false) {
            self.release(shard);
        }
        let now = shard.now();
        if let Some(since) = self.connection.blocked_since()
            && now.saturating_sub(since) > STALL_TIME_MS_MAX
        {
            shard.node.metrics.connections_stalled.add(1);
            shard.cluster.log_case(shard, Case::Stalled, || {
                format!(
                    "{} took no bytes for {} s while answers waited",
                    self.peer.get(),
                    STALL_TIME_MS_MAX / 1000
                )
            });
            self.break_off(shard);
            return;
        }
        let is_waited_for = self.packages.get() == 0 || self.unfinished.get();
        let waited = now.saturating_sub(self.progressed.get());
        if is_waited_for && waited > PACKAGE_TIME_MS_MAX && !self.is_full() {
            shard.node.metrics.connections_silent.add(1);
            shard.cluster.log_case(shard, Case::Silent, || {
                format!(
                    "{} did not finish a package within {} s",
                    self.peer.get(),
                    PACKAGE_TIME_MS_MAX / 1000
                )
            });
            self.break_off(shard);
        }
    }

    fn is_full(&self) -> bool {
        self.handled_now.get() >= REQUESTS_HANDLED_MAX
            || self.handled_bytes.get() >= UNFINISHED_BYTES_MAX
            || self.connection.link.borrow().is_output_full()
    }

    // ---- what it holds ----

    /// Bytes counted for it.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Counts what it holds in the shard's sum, and has room made when that is too much.
    fn count_held(&self, shard: &Rc<Shard>) {
        if self.recount(shard) {
            shard.cluster.make_room(shard);
        }
    }

    fn recount(&self, shard: &Shard) -> bool {
        let held = self.connection.link.borrow().held_bytes();
        shard.cluster.budget.count_held(self.held.replace(held), held)
    }

    /// Takes back memory that it does not use now, and counts what is left.
    pub(crate) fn release(&self, shard: &Shard) {
        self.connection.link.borrow_mut().release_memory();
        self.recount(shard);
    }

    /// Ends the connection because it holds the most of too much.
    pub(crate) fn end_greedy(&self, shard: &Rc<Shard>) {
        shard.node.metrics.connections_greedy.add(1);
        shard.cluster.log_case(shard, Case::Greedy, || {
            format!(
                "{} held {} bytes of unfinished messages and answers, the most, when all together held more than \
                 {HELD_BYTES_MAX}",
                self.peer.get(),
                self.held.get()
            )
        });
        self.end_session(shard);
    }

    /// Ends the connection; its session, if it has one, may go on with another.
    fn break_off(&self, shard: &Shard) {
        if self.connection.link.borrow().session_secret().is_some() {
            self.connection.shutdown();
        } else {
            self.let_go(shard);
        }
    }

    /// Ends the connection, and its session, and gives back at once what it holds: its task may take a while to
    /// notice.
    fn let_go(&self, shard: &Shard) {
        self.connection.shutdown();
        *self.connection.link.borrow_mut() = new_link();
        if let Some(secret) = self.secret.take() {
            shard.cluster.forget_session(&secret);
        }
        self.recount(shard);
    }

    // ---- its task ----

    /// Serves the connection to its end.
    async fn run(self: Rc<Self>, shard: Rc<Shard>, stream: Rc<Stream>) {
        let closed = self.serve(&shard, &stream).await;
        // Whoever sends what is none of the protocol does not go on with anything.
        let is_malformed = matches!(closed, Closed::Malformed(_));
        match closed {
            Closed::Moved(owner, hello) => {
                self.move_to(&shard, &stream, owner, hello).await;
                return shard.cluster.remove_inbound(self.key.get());
            }
            Closed::Resumes(holder, hello) => {
                self.hand_over(&shard, stream, &hello, holder);
                return shard.cluster.remove_inbound(self.key.get());
            }
            Closed::Malformed(error) => {
                shard.node.metrics.connections_malformed.add(1);
                shard.cluster.log_case(&shard, Case::Malformed, || {
                    format!("{} does not speak the cluster protocol: {error}", self.peer.get())
                });
            }
            Closed::Ended => {}
        }
        if !self.connection.uses(&stream) {
            // Another connection goes on with the session, and has a task of its own.
            if is_malformed {
                self.let_go(&shard);
            }
            return;
        }
        // What was answered before the end still goes out, as far as the socket takes it.
        self.connection.write_now();
        self.connection.detach();
        if !is_malformed && self.detach(&shard) {
            return;
        }
        self.let_go(&shard);
        shard.cluster.remove_inbound(self.key.get());
    }

    async fn serve(&self, shard: &Rc<Shard>, stream: &Stream) -> Closed {
        let mut reads_in_a_row = 0;
        loop {
            let waited = match self.connection.read(stream, shard).await {
                Ok((true, waited)) => waited,
                Ok((false, _)) | Err(_) => return Closed::Ended,
            };
            if !self.connection.is_open() {
                return Closed::Ended;
            }
            if waited {
                shard.io_seen();
                reads_in_a_row = 0;
            } else {
                shard.update_now();
                reads_in_a_row += 1;
            }
            shard.read_buffer.begin_work();
            let taken = self.take_requests(shard).await;
            shard.read_buffer.end_work();
            if let Err(error) = taken {
                return Closed::Malformed(error);
            }
            if let Some(hello) = self.hello.borrow_mut().take() {
                let owner = shard_of_channel(hello.channel, shard.shards());
                if owner != shard.index {
                    return Closed::Moved(owner, hello);
                }
                let holder = {
                    let link = self.connection.link.borrow();
                    shard.cluster.session_holder(shard, &hello, &link)
                };
                match holder {
                    Holder::Nobody => {}
                    Holder::GoesOn(holder) => return Closed::Resumes(holder, hello),
                    Holder::IsFurther => return Closed::Ended,
                }
                self.greet(shard, &hello);
            }
            self.note_progress(shard);
            self.tick(shard);
            self.count_held(shard);
            if reads_in_a_row >= READS_IN_A_ROW_MAX {
                reads_in_a_row = 0;
                rt::relax().await;
                shard.io_seen();
            }
        }
    }

    /// Notes whether a package was finished, or the first byte of one came. Bytes alone are no progress:
    /// one every few seconds would keep a connection for ever.
    fn note_progress(&self, shard: &Shard) {
        let link = self.connection.link.borrow();
        let packages = link.packages_seen();
        let was_unfinished = self.unfinished.replace(link.has_partial_input());
        if packages != self.packages.replace(packages) || !was_unfinished {
            self.progressed.set(shard.now());
        }
        self.active.set(true);
    }

    /// Waits until answers have left and requests are done; false when the connection has ended instead.
    async fn wait_for_room(&self, shard: &Rc<Shard>) -> bool {
        shard.node.metrics.reads_paused.add(1);
        // It may be long: the rest of what was read must neither keep a read buffer nor go uncounted.
        self.connection.link.borrow_mut().own_input();
        shard.read_buffer.end_work();
        self.count_held(shard);
        let mut said = shard.now();
        while self.is_full() && self.connection.is_open() {
            self.connection.flush_later(shard);
            let pause = Duration::from_millis(SIGN_OF_LIFE_PAUSE_MS);
            sleep_or_wake(Some(pause), &self.connection.written).await;
            // Pings are not read now either, and a peer that hears nothing gives the connection up.
            if said + SIGN_OF_LIFE_PAUSE_MS <= shard.update_now() {
                said = shard.now();
                self.connection.link.borrow_mut().say_alive();
            }
        }
        shard.read_buffer.begin_work();
        // It was not its fault that nothing was read.
        self.progressed.set(shard.now());
        self.connection.is_open()
    }

    // ---- the native dialect ----

    /// Goes on with a connection that came to another shard first.
    pub(crate) fn take_over(&self, shard: &Rc<Shard>, link: CalleeLink, hello: &Hello) {
        *self.connection.link.borrow_mut() = link;
        self.greet(shard, hello);
        self.note_progress(shard);
        self.count_held(shard);
    }

    /// Takes the link out, for whoever goes on with its connection.
    fn take_link(&self, shard: &Shard) -> CalleeLink {
        let link = std::mem::replace(&mut *self.connection.link.borrow_mut(), new_link());
        self.recount(shard);
        link
    }

    /// How many channels its listener lets a peer have; `None`: as many as it wants.
    fn channels_offered(&self) -> Option<u32> {
        self.admission
            .borrow()
            .as_ref()
            .and_then(|admission| admission.channels)
    }

    /// Hands the connection to the shard that owns its channel, with all that its link has.
    async fn move_to(&self, shard: &Rc<Shard>, stream: &Stream, owner: usize, hello: Box<Hello>) {
        let mut link = self.take_link(shard);
        let socket = match stream.release().await {
            Ok((socket, received)) => {
                link.receive(received);
                socket
            }
            // No descriptor is left: the peer sees a closed connection and tries again.
            Err(error) => {
                shard.log(
                    Handle::NONE,
                    format!("{} cannot be moved to its shard: {error}", self.peer.get()),
                );
                self.connection.shutdown();
                return;
            }
        };
        let Some(admission) = self.admission.borrow_mut().take() else {
            return;
        };
        let peer = self.peer.get();
        let errand = Envelope::Errand(Box::new(move |shard: &Rc<Shard>| {
            shard
                .cluster
                .take_over(shard, socket, peer, admission, link, &hello);
        }));
        // Errands are never refused; see `stage`.
        let _ = shard.stage(owner, errand);
        self.connection.forget();
    }
}

/// How many channels a peer shall have: the lower number of those that the two ends say. A dialler that
/// would take any number says the highest there is.
fn agreed_channels(offered: Option<u32>, wanted: u32) -> u32 {
    match offered {
        Some(offered) => offered.min(wanted),
        None if wanted == CHANNELS_MAX => 1,
        None => wanted,
    }
}

/// What is logged once in a while however often it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Malformed,
    Silent,
    Stalled,
    TooLarge,
    Greedy,
    Overloaded,
}

impl Case {
    /// How many cases there are.
    pub(crate) const COUNT: usize = 6;
}
