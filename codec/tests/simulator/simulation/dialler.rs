//! The dialling side of a channel, driven as the engine does it: it connects when there is something to
//! send, serves the connection until it breaks, and connects again, with growing pauses when nobody answers.

use std::io::IoSlice;

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{CallerEvent, CallerLink, CallerRequest, Dialect, ProtocolError};
use skyring_codec::skynet::Address;

use super::books::{Issue, Process};
use super::clock::Event;
use super::messages::{Order, Target};
use super::network::{Read, Side};
use super::node::{HANDLE, name_text};
use super::world::World;

/// How long one attempt to connect may take, in milliseconds.
const CONNECT_MS_MAX: Millis = 3_000;

/// The pause after the first failed attempt; it doubles with each further one.
const RETRY_MS_MIN: Millis = 50;

/// The longest pause between two attempts.
const RETRY_MS_MAX: Millis = 2_000;

/// Slices of one write.
const SLICES: usize = 16;

/// What a dialler is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has nothing to send, and no connection.
    Idle,
    Connecting,
    Pausing,
    Up {
        connection: usize,
    },
}

/// The dialling side of a channel; see the module.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) id: usize,
    pub(super) process: Process,
    channel: u32,
    channels: u32,
    dialect: Dialect,
    /// The node that it connects to.
    pub(super) place: usize,
    pub(super) link: CallerLink,
    stage: Stage,
    attempt: u64,
    failures: u32,
    /// The peer of the connection has said what it speaks.
    is_met: bool,
    /// It takes no more, and ends when it has nothing left.
    is_retired: bool,
    is_flush_scheduled: bool,
    /// The deadline that a look is scheduled for.
    armed: Option<Millis>,
}

impl Dialler {
    /// Whether nothing is half done: nothing waits, and nothing has come in part.
    pub(super) fn is_idle(&self) -> bool {
        self.link.is_idle() && !self.link.has_partial_input()
    }

    /// Whether a connection is up and the peer has said what it speaks.
    pub(super) fn is_met(&self) -> bool {
        self.is_met
    }

    pub(super) fn connection(&self) -> Option<usize> {
        match self.stage {
            Stage::Up { connection } => Some(connection),
            Stage::Idle | Stage::Connecting | Stage::Pausing => None,
        }
    }

    /// At the end of a run: what there is although nothing is asked for.
    pub(super) fn close(&mut self) -> Option<String> {
        let link = &mut self.link;
        if link.outstanding() > 0 || link.out_buffer_bytes() > 0 {
            let (calls, bytes) = (link.outstanding(), link.out_buffer_bytes());
            return Some(format!("{calls} calls and {bytes} bytes of output"));
        }
        link.close();
        if let Ok(Some(event)) = link.poll_event(Millis::MAX - 1) {
            return Some(format!("the event {event:?}"));
        }
        let deadline = link.next_deadline();
        deadline.map(|deadline| format!("a timer at {deadline}"))
    }
}

impl World {
    // ---- requests ----

    /// The dialler of a channel; there is one as soon as somebody asks.
    pub(super) fn dialler_of(&mut self, node: usize, peer: usize, channel: u32, place: usize) -> usize {
        let number = (peer, channel);
        if let Some(id) = self.nodes[node].channels.get(&number) {
            return *id;
        }
        let id = self.diallers.len();
        self.nodes[node].channels.insert(number, id);
        let settings = self.settings.nodes[node];
        let mut link = CallerLink::new(self.settings.caller_limits);
        link.watch(self.settings.heartbeat);
        self.diallers.push(Some(Dialler {
            id,
            process: self.nodes[node].process,
            channel,
            channels: settings.channels,
            dialect: settings.dialect,
            place,
            link,
            stage: Stage::Idle,
            attempt: 0,
            failures: 0,
            is_met: false,
            is_retired: false,
            is_flush_scheduled: false,
            armed: None,
        }));
        self.note(|_| format!("node {node} opens dialler {id}: channel {channel} to node {place}"));
        id
    }

    /// Gives a link a call or a send.
    pub(super) fn request(
        &mut self,
        id: usize,
        order: Order,
        is_call: bool,
        payload: Bytes,
        time: Option<Millis>,
    ) {
        let now = self.clock.now();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let deadline = time.map(|time| now + time);
        let bytes = payload.len();
        let taken = dialler.link.request(
            now,
            CallerRequest {
                address: match order.target {
                    Target::Handle => Address::Handle(HANDLE),
                    Target::Name(number) => Address::Name(name_text(number)),
                },
                source: id as u32 + 1,
                payload,
                deadline,
                token: is_call.then_some(order.message),
                is_idempotent: false,
                key: u64::from(dialler.channel),
            },
        );
        let process = dialler.process;
        self.note(|_| {
            let kind = if is_call { "call" } else { "send" };
            format!("dialler {id}: {kind} {order:?}, {bytes} bytes, deadline {deadline:?}: {taken:?}")
        });
        let issue = Issue {
            caller: process,
            dialler: id,
            order,
            is_call,
            issued: now,
            deadline,
        };
        self.books.enter(issue, taken.is_ok());
        self.attend(id);
    }

    // ---- what has to be done ----

    /// Looks after a dialler that something happened to.
    pub(super) fn attend(&mut self, id: usize) {
        let now = self.clock.now();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let link = &dialler.link;
        let (calls, bytes) = (link.outstanding(), link.out_buffer_bytes());
        let limits = self.settings.caller_limits;
        // A ping goes out whatever else waits.
        if calls > limits.sessions_max || bytes > limits.out_buffer_bytes_max + 1_000 {
            self.books
                .fail(|| format!("dialler {id} has {calls} calls and {bytes} bytes, past its limits"));
        }
        if let Some(deadline) = dialler.link.next_deadline()
            && dialler.armed.is_none_or(|armed| deadline < armed)
        {
            dialler.armed = Some(deadline);
            // One that is not over yet is looked at again no sooner than time has gone on.
            self.clock.schedule(deadline, Event::Deadline { dialler: id });
        }
        match dialler.stage {
            Stage::Up { connection } => {
                if dialler.link.has_output() && !dialler.is_flush_scheduled {
                    dialler.is_flush_scheduled = true;
                    let side = Side::Dialler;
                    self.clock.schedule(now, Event::Flush { connection, side });
                }
                if dialler.is_retired && dialler.link.is_idle() {
                    self.lose_connection(id, "no longer used");
                }
            }
            Stage::Idle => self.connect_if_needed(id),
            Stage::Connecting | Stage::Pausing => {}
        }
    }

    /// A deadline of the link has come.
    pub(super) fn deadline(&mut self, id: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.armed = None;
            self.take_events(id);
            self.attend_later(id);
        }
    }

    /// The same as [`World::attend`], after a look that may have been too early: time goes on before the next.
    fn attend_later(&mut self, id: usize) {
        let later = self.clock.now() + 1;
        if let Some(dialler) = &mut self.diallers[id]
            && let Some(deadline) = dialler.link.next_deadline()
            && deadline < later
        {
            dialler.armed = Some(later);
            self.clock.schedule(later, Event::Deadline { dialler: id });
        }
        self.attend(id);
    }

    /// Hears what the link has to tell.
    fn take_events(&mut self, id: usize) {
        if let Err(error) = self.poll_events(id) {
            self.lose_connection(id, &error.to_string());
        }
    }

    fn poll_events(&mut self, id: usize) -> Result<(), ProtocolError> {
        let now = self.clock.now();
        loop {
            let Some(dialler) = &mut self.diallers[id] else {
                return Ok(());
            };
            let process = dialler.process;
            let excuse = self.nodes[process.node].excuse();
            // The quick way, and the one that finds everything, by turns.
            if self.random.chance(500)
                && let Some((message, answer)) = dialler.link.next_reply()
            {
                self.note(|_| format!("dialler {id}: answer to message {message}"));
                self.books.reply(now, process, message, Ok(answer), excuse);
                continue;
            }
            let Some(event) = dialler.link.poll_event(now)? else {
                return Ok(());
            };
            self.note(|_| match &event {
                CallerEvent::Reply {
                    token,
                    result: Ok(answer),
                } => {
                    format!("dialler {id}: answer to message {token}, {} bytes", answer.len())
                }
                event => format!("dialler {id}: {event:?}"),
            });
            match event {
                CallerEvent::Ready { dialect, .. } => self.ready(id, dialect),
                CallerEvent::Goodbye | CallerEvent::Quiet | CallerEvent::Heard => {}
                CallerEvent::Reply { token, result } => self.books.reply(now, process, token, result, excuse),
                CallerEvent::Expired { token, .. } => self.books.expire(now, process, token, excuse),
                CallerEvent::Lost { token, may_have_run } => {
                    self.books.lose(now, process, token, may_have_run, excuse);
                }
                // Only of sessions, which the simulated nodes do not have.
                CallerEvent::Restarted { token } | CallerEvent::Forgotten { token } => {
                    self.books
                        .fail(|| format!("message {token} is lost with a session"));
                }
                CallerEvent::TooLarge { token, .. } => {
                    self.books.answer_too_large(now, process, token, excuse);
                }
            }
        }
    }

    fn ready(&mut self, id: usize, dialect: Dialect) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.is_met = true;
        }
        match dialect {
            Dialect::Native => self.books.counts.connections_native += 1,
            Dialect::Skynet => self.books.counts.connections_skynet += 1,
        }
    }

    // ---- connections ----

    fn connect_if_needed(&mut self, id: usize) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if dialler.link.is_idle() {
            dialler.stage = Stage::Idle;
            if dialler.is_retired {
                self.end_dialler(id);
            }
            return;
        }
        dialler.stage = Stage::Connecting;
        dialler.attempt += 1;
        let attempt = dialler.attempt;
        let place = &self.nodes[dialler.place];
        let takes = match place.is_unreachable {
            true => CONNECT_MS_MAX,
            false => self.random.up_to(self.settings.latency_ms_max),
        };
        let event = Event::Connected { dialler: id, attempt };
        self.clock.schedule(self.clock.now() + takes, event);
    }

    /// An attempt to connect has come to its end.
    pub(super) fn connected(&mut self, id: usize, attempt: u64) {
        let now = self.clock.now();
        let Some(dialler) = &self.diallers[id] else { return };
        if dialler.attempt != attempt || dialler.stage != Stage::Connecting {
            return;
        }
        let place = dialler.place;
        let target = &self.nodes[place];
        if !target.is_alive || target.deaf_until > now {
            return self.fail_attempt(id, "nobody listens");
        }
        // Calls that expired meanwhile go first, so that they are not sent at all.
        self.take_events(id);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let node = dialler.process.node;
        let latency = self.random.up_to(self.settings.latency_ms_max);
        let pieces = self.random.pick(&self.settings.pieces);
        let buffer = self.settings.buffer_bytes_max;
        let connection = self.network.connect(id, [node, place], latency, pieces, buffer);
        dialler.stage = Stage::Up { connection };
        dialler.is_met = false;
        dialler.is_flush_scheduled = false;
        let dialled = match dialler.dialect {
            Dialect::Skynet => {
                dialler.link.connected();
                Ok(())
            }
            Dialect::Native => {
                let hello = self.nodes[node].hello(&mut self.random, dialler.channel, dialler.channels);
                dialler.link.dial(now, &hello)
            }
        };
        if dialler.dialect == Dialect::Skynet {
            self.ready(id, Dialect::Skynet);
        }
        self.accept(connection);
        self.note(|_| format!("dialler {id} is connected to node {place}: connection {connection}"));
        if let Err(error) = dialled {
            self.books.fail(|| format!("dialler {id}: {error}"));
        }
        self.attend(id);
    }

    fn fail_attempt(&mut self, id: usize, why: &str) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        dialler.failures += 1;
        dialler.stage = Stage::Pausing;
        let longest = (RETRY_MS_MIN << (dialler.failures - 1).min(10)).min(RETRY_MS_MAX);
        let attempt = dialler.attempt;
        self.note(|_| format!("dialler {id} is not connected: {why}"));
        let pause = self.random.between(longest / 2..=longest);
        let event = Event::Retry { dialler: id, attempt };
        self.clock.schedule(self.clock.now() + pause, event);
    }

    /// The pause after a failed attempt is over.
    pub(super) fn retry(&mut self, id: usize, attempt: u64) {
        if let Some(dialler) = &self.diallers[id]
            && dialler.stage == Stage::Pausing
            && dialler.attempt == attempt
        {
            self.connect_if_needed(id);
        }
    }

    /// The connection is of no use any more: what was sent on it is lost, and the next one is made.
    pub(super) fn lose_connection(&mut self, id: usize, why: &str) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let Stage::Up { connection } = dialler.stage else {
            return;
        };
        self.note(|_| format!("dialler {id} gives connection {connection} up: {why}"));
        self.close_side(connection, Side::Dialler);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let was_met = std::mem::replace(&mut dialler.is_met, false);
        dialler.stage = Stage::Idle;
        dialler.link.disconnected();
        if dialler.link.has_output() || dialler.link.has_partial_input() {
            self.books
                .fail(|| format!("dialler {id} keeps bytes of a connection that broke"));
        }
        self.take_events(id);
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if was_met || dialler.is_retired {
            dialler.failures = 0;
            self.connect_if_needed(id);
        } else {
            self.fail_attempt(id, "it did not answer the hello");
        }
        self.attend(id);
    }

    /// Closes one side of a connection.
    pub(super) fn close_side(&mut self, connection: usize, side: Side) {
        let written = self.network.incoming_bytes(connection, side.other()) as u64;
        let kept = self.random.up_to(written) as usize;
        self.network.close(&mut self.clock, connection, side, kept);
    }

    // ---- bytes ----

    /// Bytes have come to the dialling side.
    pub(super) fn read_dialler(&mut self, connection: usize) {
        let id = self.network.get(connection).dialler;
        let (pieces, is_single) = self.pieces(connection, Side::Dialler);
        for _ in 0..pieces {
            let Some(dialler) = &mut self.diallers[id] else {
                return;
            };
            if dialler.connection() != Some(connection) {
                return;
            }
            let bytes_max = match (dialler.link.room(), is_single) {
                (_, Some(count)) => count,
                (Some((_, bytes_max)), None) => bytes_max,
                (None, None) => usize::MAX,
            };
            match self
                .network
                .read(&mut self.clock, connection, Side::Dialler, bytes_max)
            {
                Read::Bytes(bytes) => {
                    match dialler.link.room() {
                        Some((payload, bytes_max)) if bytes.len() <= bytes_max => {
                            payload.extend_from_slice(&bytes);
                            dialler.link.receive(Bytes::new());
                        }
                        _ => dialler.link.receive(bytes),
                    }
                    self.take_events(id);
                }
                Read::End => return self.lose_connection(id, "closed"),
                Read::Nothing => break,
            }
        }
        self.network.expect(&mut self.clock, connection, Side::Dialler, 0);
        self.attend(id);
    }

    /// Writes what the link has, as far as it is taken.
    pub(super) fn flush_dialler(&mut self, connection: usize) {
        let id = self.network.get(connection).dialler;
        let most = self.write_bytes_max();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        if dialler.connection() != Some(connection) {
            return;
        }
        dialler.is_flush_scheduled = false;
        let mut left = most;
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = dialler.link.transmit(&mut slices);
            if count == 0 || left == 0 {
                break;
            }
            let slices = &slices[..count];
            let written = self
                .network
                .write(&mut self.clock, connection, Side::Dialler, slices, left);
            if written == 0 {
                // It is told when there is room.
                return;
            }
            left -= written;
            dialler.link.transmitted(written);
            dialler.link.note_progress();
        }
        if dialler.link.has_output() {
            dialler.is_flush_scheduled = true;
            let side = Side::Dialler;
            self.clock
                .schedule(self.clock.now() + 1, Event::Flush { connection, side });
        }
        self.attend(id);
    }

    /// How much the socket takes in this turn.
    pub(super) fn write_bytes_max(&mut self) -> usize {
        if self.random.chance(self.settings.short_writes) {
            1 + self.random.up_to(500) as usize
        } else {
            usize::MAX
        }
    }

    // ---- changes of the map ----

    /// Has a dialler finish what it has and then end.
    pub(super) fn retire(&mut self, id: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.is_retired = true;
            self.attend(id);
        }
    }

    /// Connects elsewhere from now on.
    pub(super) fn set_place(&mut self, id: usize, place: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.place = place;
        }
    }

    /// Loses all that a dialler has, and ends it.
    pub(super) fn end_now(&mut self, id: usize) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        dialler.link.close();
        dialler.is_retired = true;
        self.take_events(id);
        match self.diallers[id].as_ref().map(|dialler| dialler.stage) {
            Some(Stage::Up { .. }) => self.lose_connection(id, "turned off"),
            Some(_) => self.connect_if_needed(id),
            None => {}
        }
    }

    fn end_dialler(&mut self, id: usize) {
        let Some(mut dialler) = self.diallers[id].take() else {
            return;
        };
        self.nodes[dialler.process.node]
            .channels
            .retain(|_, own| *own != id);
        if let Some(leftover) = dialler.close() {
            self.books
                .fail(|| format!("dialler {id} ends and has {leftover} left over"));
        }
    }
}
