//! The dialling side of a channel, driven as the engine does it: it connects when there is something to send,
//! serves the connection until it breaks, and reconnects, with growing pauses after failed attempts.

use bytes::Bytes;
use skyring_codec::Millis;
use skyring_codec::link::{
    CallerEvent, CallerLink, CallerRequest, Dialect, ProtocolError, SESSION_KEPT_MS_MAX,
};
use skyring_codec::native::{Hello, Resumption};
use skyring_codec::skynet::Address;

use super::clock::Event;
use super::impostor::PROOF_FRAME_BYTES;
use super::ledger::{Issue, LossCause, Process};
use super::messages::{Command, Kind, Target};
use super::network::Side;
use super::node::{HANDLE, name_text};
use super::sessions::Secret;
use super::transfer::output_of;
use super::world::World;

/// The stage of a dialler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has nothing to send, and no connection.
    Idle,
    Connecting,
    Pausing,
    Up {
        connection: usize,
    },
}

/// The dialling side of a channel; see the module documentation.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) id: usize,
    pub(super) process: Process,
    pub(super) channel: u32,
    pub(super) channels: u32,
    pub(super) dialect: Dialect,
    /// The node that it connects to.
    pub(super) place: usize,
    pub(super) link: CallerLink,
    pub(super) stage: Stage,
    pub(super) attempt: u64,
    pub(super) failures: u32,
    /// The handshake of the connection is complete.
    pub(super) is_ready: bool,
    /// It accepts no more messages, and ends when it is idle.
    pub(super) is_retired: bool,
    /// It has sent goodbye.
    pub(super) has_said_goodbye: bool,
    /// It withdraws its queued calls.
    pub(super) is_withdrawing: bool,
    pub(super) is_flush_scheduled: bool,
    /// The deadline that a poll is scheduled for.
    deadline_scheduled: Option<Millis>,
    /// The hello of its connection.
    pub(super) hello: Bytes,
    /// Its session.
    session: Option<Secret>,
    /// The session that ended with the last hello.
    session_before: Option<Secret>,
    /// Since when it has no connection.
    pub(super) down_since: Millis,
    /// The map has disabled its node.
    is_turned_off: bool,
}

impl Dialler {
    /// Whether no call or output is left and no message has arrived in part.
    pub(super) fn is_idle(&self) -> bool {
        self.link.is_idle() && !self.link.has_partial_input()
    }

    /// Whether the handshake of its connection is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn connection(&self) -> Option<usize> {
        match self.stage {
            Stage::Up { connection } => Some(connection),
            Stage::Idle | Stage::Connecting | Stage::Pausing => None,
        }
    }

    /// Closes the link at the end of a run; describes what is left over, if anything.
    pub(super) fn close(&mut self) -> Option<String> {
        let link = &mut self.link;
        if link.outstanding() > 0 || link.out_buffer_bytes() > 0 {
            let (calls, bytes) = (link.outstanding(), link.out_buffer_bytes());
            return Some(format!("{calls} calls and {bytes} bytes of output"));
        }
        link.close();
        // Checked before a poll, which removes the timers of calls that have ended.
        if let Some(deadline) = link.next_deadline() {
            return Some(format!("a timer at {deadline}"));
        }
        if let Ok(Some(event)) = link.poll_event(Millis::MAX - 1) {
            return Some(format!("the event {event:?}"));
        }
        let deadline = link.next_deadline();
        deadline.map(|deadline| format!("a timer at {deadline} after all"))
    }
}

impl World {
    // ---- requests ----

    /// The dialler of a channel; the first request creates it.
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
            is_ready: false,
            is_retired: false,
            has_said_goodbye: false,
            is_withdrawing: false,
            is_flush_scheduled: false,
            deadline_scheduled: None,
            hello: Bytes::new(),
            session: None,
            session_before: None,
            down_since: 0,
            is_turned_off: false,
        }));
        self.note(|_| format!("node {node} opens dialler {id}: channel {channel} to node {place}"));
        id
    }

    /// Gives a link a call or a send.
    pub(super) fn request(
        &mut self,
        id: usize,
        command: Command,
        kind: Kind,
        payload: Bytes,
        time: Option<Millis>,
    ) {
        let now = self.clock.now();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let is_call = kind != Kind::Send;
        let is_idempotent = kind == Kind::IdempotentCall;
        let deadline = time.map(|time| now + time);
        let bytes = payload.len();
        let taken = dialler.link.request(
            now,
            CallerRequest {
                address: match command.target {
                    Target::Handle => Address::Handle(HANDLE),
                    Target::Name(number) => Address::Name(name_text(number)),
                },
                source: id as u32 + 1,
                payload,
                deadline,
                token: is_call.then_some(command.message),
                is_idempotent,
                key: u64::from(dialler.channel),
            },
        );
        let process = dialler.process;
        self.note(|_| {
            format!("dialler {id}: {kind:?} {command:?}, {bytes} bytes, deadline {deadline:?}: {taken:?}")
        });
        let issue = Issue {
            caller: process,
            dialler: id,
            command,
            is_call,
            is_idempotent,
            issued: now,
            deadline,
        };
        self.ledger.enter(issue, taken.is_ok());
        self.drive(id);
    }

    // ---- work that is due ----

    /// Schedules the work of a dialler after an event: deadlines, output, connecting.
    pub(super) fn drive(&mut self, id: usize) {
        let now = self.clock.now();
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        let link = &dialler.link;
        let (calls, bytes) = (link.outstanding(), link.out_buffer_bytes());
        let limits = self.settings.caller_limits;
        // A ping is sent even when the buffer is full.
        if calls > limits.sessions_max || bytes > limits.out_buffer_bytes_max + 1_000 {
            self.ledger
                .fail(|| format!("dialler {id} has {calls} calls and {bytes} bytes, past its limits"));
        }
        if let Some(deadline) = dialler.link.next_deadline()
            && dialler
                .deadline_scheduled
                .is_none_or(|deadline_scheduled| deadline < deadline_scheduled)
        {
            dialler.deadline_scheduled = Some(deadline);
            // `drive_later` polls again at a later time if the deadline has not passed.
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
                    if std::mem::replace(&mut dialler.has_said_goodbye, true) {
                        return self.lose_connection(id, "no longer used");
                    }
                    // The goodbye lets the peer drop its session. The next call closes, once it is written.
                    dialler.link.goodbye();
                    self.flush_dialler(connection);
                }
            }
            Stage::Idle => self.connect_if_needed(id),
            Stage::Connecting | Stage::Pausing => {}
        }
    }

    /// A deadline of the link has come.
    pub(super) fn deadline(&mut self, id: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.deadline_scheduled = None;
            self.take_events(id);
            self.drive_later(id);
        }
    }

    /// The same as [`World::drive`] after a poll that may have been too early: the next poll is at a later time.
    fn drive_later(&mut self, id: usize) {
        let later = self.clock.now() + 1;
        if let Some(dialler) = &mut self.diallers[id]
            && let Some(deadline) = dialler.link.next_deadline()
            && deadline < later
        {
            dialler.deadline_scheduled = Some(later);
            self.clock.schedule(later, Event::Deadline { dialler: id });
        }
        self.drive(id);
    }

    /// Takes the events of the link.
    pub(super) fn take_events(&mut self, id: usize) {
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
            let paused_until = self.nodes[process.node].paused_until();
            // The fast path and the general one, at random.
            if self.random.chance(500)
                && let Some((message, answer)) = dialler.link.next_reply()
            {
                self.note(|_| format!("dialler {id}: answer to message {message}"));
                self.ledger.reply(now, process, message, Ok(answer), paused_until);
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
                CallerEvent::Ready { dialect, peer } => self.ready(id, dialect, peer.as_deref()),
                CallerEvent::Goodbye | CallerEvent::Quiet | CallerEvent::Heard => {}
                CallerEvent::Reply { token, result } => {
                    self.ledger.reply(now, process, token, result, paused_until)
                }
                CallerEvent::Expired { token, may_have_run } => {
                    self.ledger
                        .expire(now, process, token, may_have_run, paused_until);
                }
                CallerEvent::Lost { token, may_have_run } => {
                    self.lose(id, token, LossCause::Broken { may_have_run });
                }
                CallerEvent::Restarted { token } => self.lose(id, token, LossCause::Restarted),
                CallerEvent::Forgotten { token } => self.lose(id, token, LossCause::Forgotten),
                CallerEvent::TooLarge { token, .. } => {
                    self.ledger.answer_too_large(now, process, token, paused_until);
                }
            }
        }
    }

    pub(super) fn ready(&mut self, id: usize, dialect: Dialect, peer: Option<&Hello>) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.is_ready = true;
            let session = match peer.map(|peer| (peer.resume, peer.nonce)) {
                Some((Resumption::New, nonce)) => Some(nonce),
                Some((Resumption::Session { session, .. }, _)) => Some(session),
                Some((Resumption::Off, _)) | None => None,
            };
            if session != dialler.session {
                dialler.session_before = dialler.session;
                dialler.session = session;
            }
        }
        self.record_if_proved(id, dialect);
        match dialect {
            Dialect::Native => self.ledger.counts.connections_native += 1,
            Dialect::Skynet => self.ledger.counts.connections_skynet += 1,
        }
    }

    /// Lets an impostor record a handshake with a proof.
    fn record_if_proved(&mut self, id: usize, dialect: Dialect) {
        let Some(dialler) = &self.diallers[id] else { return };
        let Some(connection) = dialler.connection() else {
            return;
        };
        if dialect == Dialect::Native && !self.settings.nodes[dialler.process.node].secrets.is_empty() {
            self.ledger.counts.connections_proved += 1;
            let acceptor = self.network.get(connection).process(Side::Acceptor);
            let proof = output_of(&dialler.link, PROOF_FRAME_BYTES);
            let hello = dialler.hello.clone();
            self.record_handshake(acceptor, hello, proof);
        }
    }

    /// A call is lost. If there was a session, it must have had a reason to end.
    fn lose(&mut self, id: usize, message: u64, cause: LossCause) {
        let now = self.clock.now();
        let Some(dialler) = &self.diallers[id] else { return };
        let process = dialler.process;
        let peer = dialler
            .connection()
            .map(|connection| self.network.get(connection).process(Side::Acceptor));
        let may_lose = match cause {
            LossCause::Broken { .. } if dialler.is_turned_off || dialler.is_withdrawing => true,
            LossCause::Broken { .. } if dialler.session.is_none() => true,
            LossCause::Broken { .. } => {
                self.ledger.counts.lost_with_session += 1;
                dialler.connection().is_none() && now >= dialler.down_since + SESSION_KEPT_MS_MAX
            }
            LossCause::Restarted | LossCause::Forgotten => match (dialler.session_before, peer) {
                (Some(session), Some(peer)) => {
                    let is_other = self
                        .session_records
                        .process(&session)
                        .is_some_and(|process| process != peer);
                    self.session_records.may_lose(&session, peer)
                        && (cause == LossCause::Forgotten || is_other)
                }
                _ => false,
            },
        };
        if !may_lose {
            return self
                .ledger
                .fail(|| format!("message {message} is lost without a reason: {cause:?}"));
        }
        let paused_until = self.nodes[process.node].paused_until();
        self.ledger.lose(now, process, message, cause, paused_until);
    }

    // ---- changes of the map ----

    /// Lets a dialler finish its messages, and then ends it.
    pub(super) fn retire(&mut self, id: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.is_retired = true;
            self.drive(id);
        }
    }

    /// Sets the node that later connections go to.
    pub(super) fn set_place(&mut self, id: usize, place: usize) {
        if let Some(dialler) = &mut self.diallers[id] {
            dialler.place = place;
        }
    }

    /// Ends a dialler at once; its messages are lost.
    pub(super) fn turn_off(&mut self, id: usize) {
        let Some(dialler) = &mut self.diallers[id] else {
            return;
        };
        dialler.link.close();
        dialler.is_retired = true;
        dialler.is_turned_off = true;
        self.take_events(id);
        match self.diallers[id].as_ref().map(|dialler| dialler.stage) {
            Some(Stage::Up { .. }) => self.lose_connection(id, "turned off"),
            Some(_) => self.connect_if_needed(id),
            None => {}
        }
    }

    pub(super) fn end_dialler(&mut self, id: usize) {
        let Some(mut dialler) = self.diallers[id].take() else {
            return;
        };
        self.nodes[dialler.process.node]
            .channels
            .retain(|_, own| *own != id);
        if let Some(leftover) = dialler.close() {
            self.ledger
                .fail(|| format!("dialler {id} ends and has {leftover} left over"));
        }
    }
}
