//! The accepting side of a connection, driven as the engine does it: requests come out and go to services,
//! whose answers go back; it is not read while too much waits.

use std::collections::BTreeMap;
use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::link::{CalleeLink, Dialect, Inbound, ProtocolError};
use skyring_codec::native::ErrorCode;
use skyring_codec::seri;
use skyring_codec::skynet::RequestAddress;

use super::books::{Arrival, Process};
use super::clock::Event;
use super::messages::{Answer, Order, Target};
use super::network::{Pieces, Read, Side};
use super::node::HANDLE;
use super::world::World;

/// Slices of one write.
const SLICES: usize = 16;

/// Bytes that come one by one before a look at something else.
const SINGLE_BYTES_MAX: usize = 400;

/// So many bytes do not come one by one, which would take for ever; only the last of them.
const SINGLE_BACKLOG_BYTES_MAX: usize = 2_000;

/// What an acceptor without work may hold: the table of names and buffers that are used again.
const IDLE_BYTES_MAX: usize = 64 * 1024;

/// The accepting side of a connection; see the module.
#[derive(Debug)]
pub(super) struct Acceptor {
    process: Process,
    link: CalleeLink,
    /// Requests that are being handled, by message.
    handled: BTreeMap<u64, Order>,
    /// It is not read, because too much waits.
    is_paused: bool,
    is_flush_scheduled: bool,
    /// The next time to say that it lives is scheduled.
    is_pulse_scheduled: bool,
    /// The peer sends no more requests.
    is_left: bool,
}

/// A request on its way to a service.
struct Taken {
    /// The handle that its name stands for, or that it says; None for a name that nobody has.
    target: Option<u32>,
    session: u32,
    remaining_ms: Option<u32>,
    payload: Bytes,
}

impl Acceptor {
    /// Whether nothing is half done: no answer waits or is to come, and no request has come in part.
    pub(super) fn is_idle(&self) -> bool {
        let link = &self.link;
        self.handled.is_empty() && !self.is_paused && !link.has_output() && !link.has_partial_input()
    }

    /// At the end of a run: what there is although nothing is asked for.
    pub(super) fn close(&mut self) -> Option<String> {
        let link = &mut self.link;
        if link.has_output() {
            return Some(format!("{} bytes of answers", link.out_buffer_bytes()));
        }
        link.release_memory();
        let held = link.held_bytes();
        (held > IDLE_BYTES_MAX).then(|| format!("{held} bytes of memory"))
    }
}

impl World {
    /// A connection was accepted.
    pub(super) fn accept(&mut self, connection: usize) {
        let node = self.network.get(connection).node(Side::Acceptor);
        self.acceptors.push(Some(Acceptor {
            process: self.nodes[node].process,
            link: CalleeLink::new(self.settings.callee_limits),
            handled: BTreeMap::new(),
            is_paused: false,
            is_flush_scheduled: false,
            is_pulse_scheduled: false,
            is_left: false,
        }));
        debug_assert_eq!(self.acceptors.len(), connection + 1);
    }

    /// In how many pieces bytes are read in this turn, and how many bytes each has; None for as many as there
    /// are.
    pub(super) fn pieces(&mut self, connection: usize, side: Side) -> (usize, Option<usize>) {
        let backlog = self.network.incoming_bytes(connection, side);
        match self.network.get(connection).pieces {
            Pieces::Whole => (4, None),
            Pieces::Single if backlog <= SINGLE_BACKLOG_BYTES_MAX => (SINGLE_BYTES_MAX, Some(1)),
            Pieces::Single => (2, Some(backlog / 2)),
            Pieces::UpTo(most) => (2, Some(1 + self.random.below(most as u64) as usize)),
        }
    }

    // ---- requests ----

    /// Bytes have come to the accepting side.
    pub(super) fn read_acceptor(&mut self, connection: usize) {
        let (pieces, bytes_each) = self.pieces(connection, Side::Acceptor);
        for _ in 0..pieces {
            let Some(acceptor) = &mut self.acceptors[connection] else {
                return;
            };
            if acceptor.is_paused {
                return;
            }
            let bytes_max = match (acceptor.link.room(), bytes_each) {
                (_, Some(count)) => count,
                (Some((_, bytes_max)), None) => bytes_max,
                (None, None) => usize::MAX,
            };
            match self
                .network
                .read(&mut self.clock, connection, Side::Acceptor, bytes_max)
            {
                Read::Bytes(bytes) => {
                    match acceptor.link.room() {
                        Some((payload, bytes_max)) if bytes.len() <= bytes_max => {
                            payload.extend_from_slice(&bytes);
                            acceptor.link.receive(Bytes::new());
                        }
                        _ => acceptor.link.receive(bytes),
                    }
                    self.serve(connection);
                }
                Read::End => return self.end_acceptor(connection, "closed"),
                Read::Nothing => break,
            }
        }
        self.network
            .expect(&mut self.clock, connection, Side::Acceptor, 0);
    }

    /// Passes on what has come.
    fn serve(&mut self, connection: usize) {
        if let Err(error) = self.take_requests(connection) {
            // Whoever is at the other end is one of ours.
            self.books
                .fail(|| format!("connection {connection}: its acceptor reads {error}"));
        }
        self.flush_acceptor_later(connection);
    }

    fn take_requests(&mut self, connection: usize) -> Result<(), ProtocolError> {
        loop {
            if self.pause_if_full(connection) {
                return Ok(());
            }
            let Some(acceptor) = &mut self.acceptors[connection] else {
                return Ok(());
            };
            let node = &self.nodes[acceptor.process.node];
            if self.random.chance(700)
                && let Some(request) = acceptor
                    .link
                    .next_resolved(node.names_state, |name| node.resolve(name))
            {
                let remaining = request.remaining_ms;
                self.take(
                    connection,
                    Taken {
                        target: Some(request.target),
                        session: request.session,
                        remaining_ms: (remaining != 0).then_some(remaining),
                        payload: request.payload,
                    },
                );
                continue;
            }
            match acceptor.link.poll_inbound()? {
                None => return Ok(()),
                Some(Inbound::Goodbye) => acceptor.is_left = true,
                Some(Inbound::Hello(hello)) => self.greet(connection, hello.channel, hello.channels),
                Some(Inbound::Request(request)) => {
                    let target = match &request.address {
                        RequestAddress::Handle(0) => {
                            self.answer_query(connection, request.session, &request.payload);
                            continue;
                        }
                        RequestAddress::Handle(handle) => Some(*handle),
                        RequestAddress::Name(name) => node.resolve(name),
                    };
                    self.take(
                        connection,
                        Taken {
                            target,
                            session: request.session,
                            remaining_ms: request.remaining_ms,
                            payload: request.payload,
                        },
                    );
                }
            }
        }
    }

    fn greet(&mut self, connection: usize, channel: u32, channels: u32) {
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        let node = acceptor.process.node;
        if self.settings.nodes[node].dialect == Dialect::Skynet {
            return acceptor.link.refuse_hello();
        }
        let hello = self.nodes[node].hello(&mut self.random, channel, channels);
        if let Err(error) = acceptor.link.accept_hello(&hello) {
            self.books
                .fail(|| format!("connection {connection}: the hello is not accepted: {error}"));
        }
    }

    /// Nobody asks for a name but the heartbeat.
    fn answer_query(&mut self, connection: usize, session: u32, payload: &[u8]) {
        if seri::unpack::<&str>(payload) != Ok("skyring.ping") {
            self.books
                .fail(|| format!("connection {connection}: a query for {payload:?}"));
        }
        if let Some(acceptor) = &mut self.acceptors[connection] {
            acceptor.link.respond(session, Err(b"name not found"));
        }
    }

    /// A request comes to a service.
    fn take(&mut self, connection: usize, taken: Taken) {
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        let (process, is_native) = (acceptor.process, acceptor.link.dialect() == Dialect::Native);
        let Taken {
            target,
            session,
            remaining_ms,
            payload,
        } = taken;
        let Some(order) = Order::unpack(&payload) else {
            let bytes = payload.len();
            return self
                .books
                .fail(|| format!("connection {connection}: a request of {bytes} bytes that nobody sent"));
        };
        let expected = match order.target {
            Target::Handle => Some(HANDLE),
            Target::Name(number) => self.nodes[process.node].handle_of(number),
        };
        if target != expected {
            let message = order.message;
            return self
                .books
                .fail(|| format!("message {message} goes to {target:?}, its target is {expected:?}"));
        }
        let Some(target) = target else {
            acceptor
                .link
                .respond_error(session, ErrorCode::NoSuchService, b"no-such-service: a name");
            return self.note(|_| {
                format!(
                    "connection {connection}: message {} has no service",
                    order.message
                )
            });
        };
        self.note(|_| {
            format!(
                "connection {connection}: message {} runs at handle {target}",
                order.message
            )
        });
        let arrival = Arrival {
            process,
            connection,
            is_native,
            session,
            remaining_ms,
        };
        self.books.run(self.clock.now(), &order, &arrival);
        self.handle(connection, session, order);
    }

    fn handle(&mut self, connection: usize, session: u32, order: Order) {
        if session == 0 || order.answer == Answer::Never {
            return;
        }
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        if order.takes_ms == 0 {
            return self.respond(connection, session, order);
        }
        acceptor.handled.insert(order.message, order);
        let message = order.message;
        self.clock.schedule(
            self.clock.now() + u64::from(order.takes_ms),
            Event::Answer {
                connection,
                session,
                message,
            },
        );
    }

    fn respond(&mut self, connection: usize, session: u32, order: Order) {
        self.books.answer(order.message);
        if let Some(acceptor) = &mut self.acceptors[connection] {
            match order.answer() {
                Ok(answer) => acceptor.link.respond(session, Ok(answer)),
                Err(text) => acceptor.link.respond(session, Err(text.as_bytes())),
            }
        }
    }

    /// A service is done.
    pub(super) fn answer(&mut self, connection: usize, session: u32, message: u64) {
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        let Some(order) = acceptor.handled.remove(&message) else {
            return;
        };
        self.note(|_| format!("connection {connection}: message {message} is answered"));
        self.respond(connection, session, order);
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        if std::mem::take(&mut acceptor.is_paused) {
            self.serve(connection);
            self.network
                .expect(&mut self.clock, connection, Side::Acceptor, 0);
        }
        self.flush_acceptor_later(connection);
    }

    // ---- back pressure ----

    fn is_full(&self, acceptor: &Acceptor) -> bool {
        acceptor.handled.len() >= self.settings.handled_max || acceptor.link.is_output_full()
    }

    /// Stops reading while too much waits; whether it does.
    fn pause_if_full(&mut self, connection: usize) -> bool {
        let Some(acceptor) = &self.acceptors[connection] else {
            return true;
        };
        if !self.is_full(acceptor) {
            return false;
        }
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return true;
        };
        if !std::mem::replace(&mut acceptor.is_paused, true) {
            self.books.counts.reads_paused += 1;
            acceptor.link.own_input();
            self.say_alive_later(connection);
        }
        true
    }

    fn say_alive_later(&mut self, connection: usize) {
        let interval = self.settings.heartbeat.interval_ms;
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        if interval > 0 && !std::mem::replace(&mut acceptor.is_pulse_scheduled, true) {
            let at = self.clock.now() + interval;
            self.clock.schedule(at, Event::SayAlive { connection });
        }
    }

    /// When it has not been read for a while, the peer is to know that it lives.
    pub(super) fn say_alive(&mut self, connection: usize) {
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        acceptor.is_pulse_scheduled = false;
        if acceptor.is_paused {
            acceptor.link.say_alive();
            self.flush_acceptor_later(connection);
            self.say_alive_later(connection);
        }
    }

    // ---- bytes ----

    fn flush_acceptor_later(&mut self, connection: usize) {
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        if acceptor.link.has_output() && !std::mem::replace(&mut acceptor.is_flush_scheduled, true) {
            let side = Side::Acceptor;
            self.clock
                .schedule(self.clock.now(), Event::Flush { connection, side });
        }
    }

    /// Writes what the link has, as far as it is taken.
    pub(super) fn flush_acceptor(&mut self, connection: usize) {
        let mut left = self.write_bytes_max();
        let Some(acceptor) = &mut self.acceptors[connection] else {
            return;
        };
        acceptor.is_flush_scheduled = false;
        while left > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = acceptor.link.transmit(&mut slices);
            if count == 0 {
                break;
            }
            let slices = &slices[..count];
            let written = self
                .network
                .write(&mut self.clock, connection, Side::Acceptor, slices, left);
            if written == 0 {
                // It is told when there is room.
                return;
            }
            left -= written;
            acceptor.link.transmitted(written);
        }
        if acceptor.link.has_output() {
            acceptor.is_flush_scheduled = true;
            let side = Side::Acceptor;
            self.clock
                .schedule(self.clock.now() + 1, Event::Flush { connection, side });
        }
        // Answers may be what its reading waits for.
        if acceptor.is_paused {
            acceptor.is_paused = false;
            self.serve(connection);
            self.network
                .expect(&mut self.clock, connection, Side::Acceptor, 0);
        }
    }

    // ---- its end ----

    /// Says goodbye, and closes a little later.
    pub(super) fn say_goodbye(&mut self, connection: usize, closes_after: u64) {
        if let Some(acceptor) = &mut self.acceptors[connection] {
            acceptor.link.goodbye();
            self.flush_acceptor_later(connection);
            let at = self.clock.now() + closes_after;
            self.clock.schedule(at, Event::Leave { connection });
        }
    }

    /// Closes after a goodbye.
    pub(super) fn leave(&mut self, connection: usize) {
        self.end_acceptor(connection, "it has said goodbye");
    }

    fn end_acceptor(&mut self, connection: usize, why: &str) {
        if self.acceptors[connection].take().is_some() {
            self.note(|_| format!("connection {connection} is closed at its acceptor: {why}"));
            self.close_side(connection, Side::Acceptor);
        }
    }
}
