//! The dialler's end of a channel: calls and sends go in, the outcomes of the calls come out.
//!
//! The link outlives its TCP connections. Messages that were accepted but not transmitted when a connection breaks
//! are sent on the next one, in order, in its dialect. Messages that were transmitted are kept too in a
//! [session](resume) of the native dialect; without one a call of which a byte was transmitted is lost, because it
//! is unknown whether it ran.
//!
//! Invariants:
//! - every accepted call yields exactly one [`CallerEvent`] with its token;
//! - `queue` contains the messages of which no byte was transmitted, and in a session those that the peer has not
//!   acknowledged; `out` holds bytes of one connection only, so a connection never begins within a message;
//! - a call was begun if and only if its number is below that of the first message in the queue that was not;
//! - before the peer has answered the hello, only the hello can be transmitted.

mod event;
mod failures;
mod handshake;
mod heartbeat;
mod native;
mod release;
mod resume;
mod skynet;
mod state;
mod traces;

pub(super) use resume::put_ack;

pub use traces::{TRACE_SENT_BYTES_MAX, TRACES_WAITING_MAX};

pub use event::{CallerEvent, CallerLimits, CallerRequest, ReplyError};
pub use release::{RELEASE_PAUSE_MS, RELEASED_AT_ONCE_MAX, RELEASED_BYTES_AT_ONCE_MAX};

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use self::handshake::Offer;
use self::release::Release;
use self::resume::{Ended, Resume};
use self::traces::Traces;
use super::deadlines::{Deadlines, GroupKey};
use super::heartbeat::{Heartbeat, HeartbeatLimits};
use super::queue::{Message, Queue, Target, cost};
use super::reassembly::{Reassembly, ReassemblyLimits};
use super::sessions::{Call, Sessions};
use super::{Access, Dialect, LinkError, ProtocolError};
use crate::Millis;
use crate::native::{
    FrameKind, FrameReader, Header, Hello, HelloError, NAMES_MAX, NamesOut, ShardsOut, put_frame,
};
use crate::outbuffer::OutBuffer;
use crate::skynet::{Address, Framer, NAME_BYTES_MAX};

/// How long a peer may take to answer the hello, in milliseconds.
pub const HANDSHAKE_MS_MAX: Millis = 10_000;

/// The stage of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no connection.
    Down,
    /// The hello was sent, and its answer has not arrived.
    Handshake {
        /// When the handshake times out.
        until: Millis,
        /// The version in the hello.
        offered: u32,
    },
    /// Messages can be transmitted.
    Up(Dialect),
    /// Messages that were transmitted are still answered, but one end has said goodbye: new ones wait for the next
    /// connection.
    Draining(Dialect),
}

/// The dialler's end of a channel. See the module documentation.
#[derive(Debug)]
pub struct CallerLink {
    limits: CallerLimits,
    access: Option<Access>,
    /// What the last hello offers as a proof.
    offer: Offer,
    /// The connections that were dialled.
    attempts: u64,
    stage: Stage,
    /// The latest time that was passed in.
    now: Millis,
    out: OutBuffer,
    queue: Queue,
    /// Calls in `queue` that have expired without a connection.
    stale: usize,
    names: NamesOut,
    /// The number of the channel in the hello.
    channel: u32,
    shards: ShardsOut,
    sessions: Sessions,
    deadlines: Deadlines,
    framer: Framer,
    partials: Reassembly<()>,
    frames: FrameReader,
    /// Events of lost calls that were not polled yet.
    failures: VecDeque<CallerEvent>,
    late_replies: u64,
    sends_dropped: u64,
    heartbeat: Heartbeat,
    resume: Resume,
    traces: Traces,
    release: Release,
}

impl CallerLink {
    /// A link without a connection, which accepts calls.
    pub fn new(limits: CallerLimits) -> Self {
        Self::with_first_session(limits, 1)
    }

    /// The same, with sessions from `first_session` (1 to 2^31 - 1) on, as after that many calls.
    pub fn with_first_session(limits: CallerLimits, first_session: u32) -> Self {
        // Each unfinished reply belongs to an outstanding call.
        let reassembly = ReassemblyLimits {
            bytes_max: limits.reassembly_bytes_max,
            messages_max: limits.sessions_max,
        };
        Self {
            limits,
            access: None,
            offer: Offer::default(),
            attempts: 0,
            stage: Stage::Down,
            now: 0,
            out: OutBuffer::new(),
            queue: Queue::new(),
            stale: 0,
            names: NamesOut::new(),
            channel: 1,
            shards: ShardsOut::default(),
            sessions: Sessions::starting_at(first_session),
            deadlines: Deadlines::new(),
            framer: Framer::new(),
            partials: Reassembly::new(reassembly),
            frames: FrameReader::new(),
            failures: VecDeque::new(),
            late_replies: 0,
            sends_dropped: 0,
            heartbeat: Heartbeat::new(HeartbeatLimits::OFF),
            resume: Resume::new(limits.is_resumed),
            traces: Traces::default(),
            release: Release::new(),
        }
    }

    /// Lets the next connections prove a cluster secret, and require the same of the peer; `None`: neither.
    pub fn set_access(&mut self, access: Option<Access>) {
        self.access = access;
    }

    /// Accepts a call or a send. It is transmitted as soon as a connection takes it, unless its deadline has passed
    /// by then.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued and there will be no event.
    #[inline(always)]
    pub fn request(&mut self, now: Millis, request: CallerRequest<'_>) -> Result<(), LinkError> {
        self.now = self.now.max(now);
        let CallerRequest {
            address,
            source,
            key,
            payload,
            deadline,
            token,
            is_idempotent,
        } = request;
        let cost = self.admit(&address, token.is_some(), payload.len())?;
        let target = match address {
            Address::Handle(handle) => Target::Handle(handle),
            Address::Name(name) => Target::Name(self.names.hold(name).ok_or(LinkError::Overloaded {
                what: "names of queued messages",
                limit: NAMES_MAX,
            })?),
        };
        let number = self.queue.next_number();
        let session = match token {
            Some(token) => self.enter(token, number, deadline),
            None => 0,
        };
        let mut message = Message {
            number,
            start: 0,
            frame: 0,
            session,
            source,
            key,
            deadline: deadline.unwrap_or(Millis::MAX),
            target,
            is_idempotent,
            cost,
            payload,
        };
        let is_encoded = match self.stage {
            Stage::Up(dialect) if !self.queue.has_waiting() => self.encode(dialect, &mut message),
            Stage::Up(_) | Stage::Down | Stage::Handshake { .. } | Stage::Draining(_) => false,
        };
        self.queue.push(message, is_encoded);
        Ok(())
    }

    /// Checks every limit but that on names; returns the cost of the message.
    #[inline(always)]
    fn admit(&self, address: &Address<'_>, is_call: bool, payload_bytes: usize) -> Result<usize, LinkError> {
        if let Address::Name(name) = address
            && !(1..=NAME_BYTES_MAX).contains(&name.len())
        {
            return Err(LinkError::InvalidName { bytes: name.len() });
        }
        // Both dialects count the bytes of a message in 32 bits.
        let limit = self.limits.message_bytes_max.min(u32::MAX as usize);
        if payload_bytes > limit {
            let bytes = payload_bytes;
            return Err(LinkError::TooLarge { bytes, limit });
        }
        let cost = cost(address, payload_bytes);
        let limit = self.limits.out_buffer_bytes_max;
        if self.out_buffer_bytes() + cost > limit {
            let what = "out-buffer bytes";
            return Err(LinkError::Overloaded { what, limit });
        }
        // Events that were not polled yet count too, so that they cannot accumulate.
        let limit = self.limits.sessions_max;
        if is_call && self.sessions.outstanding() + self.failures.len() >= limit {
            let what = "sessions";
            return Err(LinkError::Overloaded { what, limit });
        }
        Ok(cost)
    }

    /// Adds a call; returns its session.
    #[inline(always)]
    fn enter(&mut self, token: u64, number: u64, deadline: Option<Millis>) -> u32 {
        let session = self.sessions.next_number();
        let deadline = deadline.filter(|_| !fault!(DeadlineIgnored));
        let deadline = match deadline {
            Some(deadline) => self.deadlines.add(session, deadline),
            None => GroupKey::NONE,
        };
        let call = Call {
            token,
            number,
            deadline,
        };
        self.sessions.insert(session, call);
        session
    }

    /// Encodes a message into the out-buffer; returns whether it is there.
    #[inline(always)]
    fn encode(&mut self, dialect: Dialect, message: &mut Message) -> bool {
        if !self.traces.is_empty() {
            self.encode_trace(dialect, message.number);
        }
        match dialect {
            Dialect::Skynet => self.encode_skynet(message),
            Dialect::Native => {
                self.encode_native(message);
                true
            }
        }
    }

    /// A TCP connection to a Skynet node is up: there is no hello, and no proof of a cluster secret. Queued messages can be transmitted, except calls
    /// that have expired: poll the events first, so that a peer that returns does not receive a burst of expired
    /// requests.
    pub fn connected(&mut self) {
        // If the end of the old connection was not reported, its stream must not continue on the new one.
        self.disconnected();
        self.end_session(Ended::Forgotten);
        self.begin(Dialect::Skynet, 0);
    }

    /// A TCP connection is up. Only the hello can be transmitted until the peer has answered it, and has proved the
    /// cluster secret if there is one; then [`CallerEvent::Ready`] reports the dialect, and queued messages can be
    /// transmitted.
    ///
    /// # Errors
    /// [`HelloError`] for a hello that no peer would accept; the link stays without a connection.
    pub fn dial(&mut self, now: Millis, hello: &Hello) -> Result<(), HelloError> {
        self.disconnected();
        self.now = self.now.max(now);
        self.send_hello(Hello {
            resume: self.resume.offer(),
            ..hello.clone()
        })?;
        self.channel = hello.channel;
        self.stage = Stage::Handshake {
            until: self.now.saturating_add(HANDSHAKE_MS_MAX),
            offered: hello.version,
        };
        Ok(())
    }

    /// Begins to encode the queued messages for transmission, except those whose deadline is at or before `now`.
    fn begin(&mut self, dialect: Dialect, now: Millis) {
        self.now = self.now.max(now);
        self.stage = Stage::Up(dialect);
        self.heartbeat.start(self.now);
        self.names.forget_definitions();
        self.begin_release(dialect);
        self.stale = 0;
    }

    /// The TCP connection broke. Messages that were not begun wait for the next connection, in order, and so do
    /// begun ones in a session that can be resumed; without one every call of which a byte was transmitted is lost.
    /// Without a connection this does nothing.
    pub fn disconnected(&mut self) {
        if self.stage == Stage::Down {
            return;
        }
        self.forget_connection();
        if self.resume.has_session() {
            self.resume.pause(self.now);
        } else {
            self.lose_begun();
        }
        self.drop_unwanted();
    }

    /// Ends the link: every outstanding call is lost and every queued message is dropped. The link can be used
    /// again as if it were new, except that session numbers continue.
    pub fn close(&mut self) {
        self.forget_connection();
        self.queue.wait(|_| true);
        self.abandon();
        self.resume.clear();
        self.traces.clear();
    }

    fn forget_connection(&mut self) {
        self.stage = Stage::Down;
        self.heartbeat.stop();
        self.release.stop();
        self.partials.clear();
        if !fault!(InputKept) {
            self.framer.clear();
            self.frames = FrameReader::new();
        }
        self.out.clear();
        self.out.release();
    }

    /// Lets messages that are accepted from now on wait for the next connection, and sends goodbye in the native
    /// dialect: the peer may close this connection after it has answered its calls. Does nothing without a
    /// connection, or before the handshake is complete.
    pub fn goodbye(&mut self) {
        if let Stage::Up(dialect) = self.stage {
            self.stage = Stage::Draining(dialect);
            if dialect == Dialect::Native {
                put_frame(&mut self.out, Header::new(FrameKind::Goodbye), &Bytes::new());
                self.forget_session();
            }
        }
    }

    /// Takes bytes that were read from the socket. Poll until there is no event before reading more, so that chunks
    /// do not accumulate. Without a connection this does nothing.
    #[inline]
    pub fn receive(&mut self, chunk: Bytes) {
        self.heartbeat.note();
        match self.stage {
            Stage::Down => {}
            Stage::Up(Dialect::Native) | Stage::Draining(Dialect::Native) => self.frames.push(chunk),
            _ => self.framer.push(chunk),
        }
    }

    /// The buffer into which the next bytes may be read without a chunk, and how many: see [`FrameReader::room`].
    pub fn room(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        match self.stage {
            Stage::Up(Dialect::Native) | Stage::Draining(Dialect::Native) => self.frames.room(),
            _ => None,
        }
    }

    /// The next event; None when there is none at `now`. Received replies come before expiries, so that a late poll
    /// does not discard a reply that was in time.
    ///
    /// # Errors
    /// [`ProtocolError`] for input that no peer sends. Close the connection and call [`CallerLink::disconnected`],
    /// which yields the events of the calls.
    #[inline]
    pub fn poll_event(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        self.now = self.now.max(now);
        if let Some(failure) = self.failures.pop_front() {
            if self.failures.is_empty() {
                self.failures = VecDeque::new();
            }
            return Ok(Some(failure));
        }
        let event = match self.stage {
            Stage::Up(Dialect::Native) | Stage::Draining(Dialect::Native) => self.poll_native(now)?,
            Stage::Up(Dialect::Skynet) | Stage::Draining(Dialect::Skynet) => self.poll_skynet(now)?,
            Stage::Handshake { until, offered } => match self.poll_handshake(until, offered)? {
                Some(event) => Some(event),
                None => self.expire(now),
            },
            Stage::Down => self.poll_down(now),
        };
        match event {
            None => {
                if self.resume.acks.is_due(now) {
                    self.put_ack();
                }
                if self.release.is_due(now) {
                    self.continue_release();
                }
                self.beat(now)
            }
            event => Ok(event),
        }
    }

    /// Ends a call with its whole answer or error.
    fn reply(&mut self, session: u32, result: Result<Bytes, ReplyError>) -> Option<CallerEvent> {
        let Some(Call { token, .. }) = self.end(session) else {
            self.late_replies += 1;
            return None;
        };
        match result {
            Ok(payload) if payload.len() > self.limits.message_bytes_max => Some(CallerEvent::TooLarge {
                token,
                bytes: payload.len(),
            }),
            result => Some(CallerEvent::Reply { token, result }),
        }
    }

    fn too_large(&mut self, session: u32, total: u32) -> Option<CallerEvent> {
        let Some(Call { token, .. }) = self.end(session) else {
            self.late_replies += 1;
            return None;
        };
        let bytes = total as usize;
        Some(CallerEvent::TooLarge { token, bytes })
    }

    /// Removes a call and all that belongs to it.
    #[inline]
    fn end(&mut self, session: u32) -> Option<Call> {
        let call = self.sessions.remove(session)?;
        if !fault!(TimerKept) {
            self.deadlines.remove(call.deadline);
        }
        if let Some(message) = self.resume.forget(call.number) {
            release(&mut self.names, &message);
        }
        if !self.partials.is_empty() {
            self.partials.remove(session);
        }
        Some(call)
    }

    #[inline]
    fn expire(&mut self, now: Millis) -> Option<CallerEvent> {
        let session = self.deadlines.poll(now, &self.sessions)?;
        let number = self.sessions.get(session)?.number;
        // Messages in the out-buffer are still transmitted.
        let is_begun = number < self.queue.first_waiting_number();
        let may_have_run = is_begun || self.resume.is_repeated(number);
        let Call { token, .. } = self.end(session)?;
        if matches!(self.stage, Stage::Down | Stage::Handshake { .. }) && !is_begun {
            // Nothing of it was transmitted. When half of the queued messages are stale they are dropped, so that
            // they do not use up the out-buffer.
            self.stale += 1;
            if self.stale * 2 > self.queue.len() {
                self.drop_unwanted();
            }
        }
        Some(CallerEvent::Expired { token, may_have_run })
    }

    /// When to poll next if nothing is received: never later than the earliest deadline, and possibly earlier; then
    /// the poll finds nothing and the next deadline is later.
    pub fn next_deadline(&self) -> Option<Millis> {
        let handshake = match self.stage {
            Stage::Handshake { until, .. } => Some(until),
            _ => None,
        };
        let of_session = match self.stage {
            Stage::Down => self.resume.deadline(),
            _ => self.resume.acks.deadline(),
        };
        let all = [
            self.deadlines.next(),
            self.heartbeat.deadline(|| self.waits_for_nothing()),
            handshake,
            of_session,
            self.release.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// Fills `slices` with the next output; returns how many were filled. None without a connection.
    #[inline]
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(slices)
    }

    /// The socket has taken `count` bytes of the output of [`CallerLink::transmit`].
    ///
    /// # Panics
    /// When `count` is larger than the output.
    #[inline]
    pub fn transmitted(&mut self, count: usize) {
        self.out.advance(count);
        let transmitted = self.out.position_transmitted();
        if self.resume.has_session() {
            self.resume.written(transmitted);
            if !self.out.is_empty() || !self.queue.retain_all() {
                self.queue.retain_begun(transmitted);
            }
            return;
        }
        self.queue
            .forget_begun(transmitted, |message| release(&mut self.names, message));
    }

    /// Whether there is output.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Bytes that are queued for the socket, for a connection or for an acknowledgement, counted as in
    /// [`CallerLimits`].
    #[inline]
    pub fn out_buffer_bytes(&self) -> usize {
        if self.resume.has_session() {
            return self.queue.cost() + self.queue.retained_cost() + self.resume.retained_cost();
        }
        let begun_end = self.queue.first_start().unwrap_or(self.out.position_put());
        self.queue.cost() + (begun_end - self.out.position_transmitted()) as usize
    }
}

/// Releases the name of a message.
#[inline]
fn release(names: &mut NamesOut, message: &Message) {
    if let Target::Name(number) = message.target {
        names.release(number);
    }
}

/// Whether a message is a send, or a call that has not ended.
fn is_wanted(sessions: &Sessions, message: &Message) -> bool {
    let call = || sessions.get(message.session);
    message.session == 0 || call().is_some_and(|call| call.number == message.number)
}
