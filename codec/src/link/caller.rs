//! The dialler's end of a channel: calls and sends in, what became of the calls out.
//!
//! The link outlives its TCP connections. What was accepted but not yet transmitted when a connection
//! breaks goes on with the next one, in order; a call of which a byte was transmitted is lost, because
//! nobody can say whether it ran.
//!
//! Invariants:
//! - every accepted call yields exactly one [`CallerEvent`] with its token;
//! - `units` lists the messages in `out` none of whose bytes was transmitted, in order; the bytes in
//!   front of the first belong to a message under way, so a connection never begins within a message;
//! - an outstanding call's `start` is where its first byte lies in the stream of `out`.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::reassembly::{Appended, Reassembly, ReassemblyLimits};
use super::sessions::{Call, Sessions};
use super::{
    LinkError, MESSAGE_BYTES_MAX, OUT_BUFFER_BYTES_MAX, ProtocolError, REASSEMBLY_BYTES_MAX, SESSIONS_MAX,
};
use crate::Millis;
use crate::outbuffer::OutBuffer;
use crate::skynet::{
    Address, Framer, REQUEST_SMALL_BYTES_MAX, ResponseFrame, decode_response, encode_push, encode_request,
    request_bytes,
};
use crate::wheel::TimerWheel;

/// Message boundaries that are kept room for once a burst is over.
const KEPT_UNITS_MAX: usize = 16 * 1024;

/// Bounds of a [`CallerLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Bytes that may wait for the socket, headers included.
    pub out_buffer_bytes_max: usize,
    /// Calls that may be outstanding.
    pub sessions_max: usize,
    /// Bytes that a request, a push or a reply may have.
    pub message_bytes_max: usize,
    /// Bytes that all unfinished replies may hold together.
    pub reassembly_bytes_max: usize,
}

impl Default for CallerLimits {
    fn default() -> Self {
        Self {
            out_buffer_bytes_max: OUT_BUFFER_BYTES_MAX,
            sessions_max: SESSIONS_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            reassembly_bytes_max: REASSEMBLY_BYTES_MAX,
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerEvent {
    /// The peer answered.
    Reply {
        /// The token of the call.
        token: u64,
        /// The answer, or the text of the error; both as bytes of the peer's choice.
        result: Result<Bytes, Bytes>,
    },
    /// The deadline came before an answer.
    Expired {
        /// The token of the call.
        token: u64,
    },
    /// The connection broke or the link was closed before an answer.
    Lost {
        /// The token of the call.
        token: u64,
        /// Whether the peer may have run it: some of it was transmitted.
        may_have_run: bool,
    },
    /// There is an answer, but it is larger than this link takes. The peer did run the call.
    TooLarge {
        /// The token of the call.
        token: u64,
        /// How large the answer is, as the peer says.
        bytes: usize,
    },
}

/// A message none of whose bytes was transmitted.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Where in the stream it begins; it ends where the next begins.
    start: u64,
    /// The session of a call; 0 for a send.
    session: u32,
}

/// The dialler's end of a channel. See the module's page.
#[derive(Debug)]
pub struct CallerLink {
    limits: CallerLimits,
    is_connected: bool,
    out: OutBuffer,
    units: VecDeque<Unit>,
    /// Calls in `units` that have expired while there was no connection to send them on.
    units_stale: usize,
    sessions: Sessions,
    timers: TimerWheel<u32>,
    framer: Framer,
    partials: Reassembly<()>,
    /// What `disconnected` and `close` have to report.
    losses: VecDeque<CallerEvent>,
    late_replies: u64,
}

impl CallerLink {
    /// A link that is not connected yet but accepts calls.
    pub fn new(limits: CallerLimits) -> Self {
        Self::with_first_session(limits, 1)
    }

    /// The same, counting sessions from `first_session` (1 to 2^31 - 1) on: as after so many calls.
    pub fn with_first_session(limits: CallerLimits, first_session: u32) -> Self {
        // Each unfinished reply answers an outstanding call.
        let reassembly = ReassemblyLimits {
            bytes_max: limits.reassembly_bytes_max,
            messages_max: limits.sessions_max,
        };
        Self {
            limits,
            is_connected: false,
            out: OutBuffer::new(),
            units: VecDeque::new(),
            units_stale: 0,
            sessions: Sessions::starting_at(first_session),
            timers: TimerWheel::new(0),
            framer: Framer::new(),
            partials: Reassembly::new(reassembly),
            losses: VecDeque::new(),
            late_replies: 0,
        }
    }

    /// Queues a call. `token` comes back with its one event; `deadline` is when it expires.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued and there will be no event.
    #[inline]
    pub fn call(
        &mut self,
        address: Address<'_>,
        payload: &Bytes,
        deadline: Option<Millis>,
        token: u64,
    ) -> Result<(), LinkError> {
        self.admit(&address, payload.len())?;
        // Losses that nobody has polled yet count as well, so that they cannot heap up.
        if self.sessions.outstanding() + self.losses.len() >= self.limits.sessions_max {
            return Err(LinkError::Overloaded {
                what: "sessions",
                limit: self.limits.sessions_max,
            });
        }
        let start = self.out.position_put();
        let session = self.sessions.next_number();
        encode_request(&mut self.out, address, session, payload)?;
        let timer = deadline.map(|deadline| self.timers.insert(deadline, session));
        self.sessions.insert(session, Call { token, start, timer });
        self.units.push_back(Unit { start, session });
        Ok(())
    }

    /// Queues a message that wants no answer. It is delivered at most once and has no event.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued.
    #[inline]
    pub fn send(&mut self, address: Address<'_>, payload: &Bytes) -> Result<(), LinkError> {
        self.admit(&address, payload.len())?;
        let start = self.out.position_put();
        // The parts of a long push need a number, which must not be one that awaits an answer.
        let session = if payload.len() > REQUEST_SMALL_BYTES_MAX {
            self.sessions.next_number()
        } else {
            0
        };
        encode_push(&mut self.out, address, session, payload)?;
        self.units.push_back(Unit { start, session: 0 });
        Ok(())
    }

    #[inline]
    fn admit(&self, address: &Address<'_>, payload_bytes: usize) -> Result<(), LinkError> {
        let wire_bytes = request_bytes(address, payload_bytes)?;
        if payload_bytes > self.limits.message_bytes_max {
            return Err(LinkError::TooLarge {
                bytes: payload_bytes,
                limit: self.limits.message_bytes_max,
            });
        }
        if self.out.len() + wire_bytes > self.limits.out_buffer_bytes_max {
            let limit = self.limits.out_buffer_bytes_max;
            return Err(LinkError::Overloaded {
                what: "out-buffer bytes",
                limit,
            });
        }
        Ok(())
    }

    /// A TCP connection is up. What waits can be transmitted, without the calls whose expiry has been
    /// given out meanwhile: poll the events first, so that a peer that comes back is not met by a
    /// storm of requests nobody waits for.
    pub fn connected(&mut self) {
        // Whoever did not notice that the old connection broke must not splice two streams.
        self.disconnected();
        if self.units_stale > 0 {
            self.rebuild();
        }
        self.is_connected = true;
    }

    /// The TCP connection broke. Every call of which a byte was transmitted is lost; what was not
    /// begun waits for the next connection, in order. Without a connection this does nothing.
    pub fn disconnected(&mut self) {
        if !self.is_connected {
            return;
        }
        self.is_connected = false;
        self.framer.clear();
        self.partials.clear();
        let transmitted = self.out.position_transmitted();
        self.lose(|call| call.start < transmitted);
        self.rebuild();
    }

    /// Gives up: every outstanding call is lost and everything queued is dropped. The link can be used
    /// again as if it were new, though session numbers go on.
    pub fn close(&mut self) {
        self.is_connected = false;
        self.framer.clear();
        self.partials.clear();
        self.lose(|_| true);
        self.out = OutBuffer::new();
        self.units = VecDeque::new();
        self.units_stale = 0;
    }

    /// Ends the calls that satisfy `condition`, in the order in which they were accepted.
    fn lose(&mut self, condition: impl Fn(&Call) -> bool) {
        let transmitted = self.out.position_transmitted();
        for session in self.sessions.select(condition) {
            if let Some(call) = self.end(session) {
                let may_have_run = call.start < transmitted;
                self.losses.push_back(CallerEvent::Lost {
                    token: call.token,
                    may_have_run,
                });
            }
        }
    }

    /// Writes the out-buffer anew with the messages that were not begun and are still wanted.
    fn rebuild(&mut self) {
        let mut out = OutBuffer::new();
        let mut units = VecDeque::new();
        let mut old = std::mem::take(&mut self.units).into_iter().peekable();
        while let Some(unit) = old.next() {
            let end = old.peek().map_or(self.out.position_put(), |next| next.start);
            let start = out.position_put();
            if unit.session != 0 {
                match self.sessions.get_mut(unit.session) {
                    Some(call) if call.start == unit.start => call.start = start,
                    _ => continue,
                }
            }
            // Bytes of messages that are gone, or under way when the connection broke, lie in front.
            let gone = unit.start - self.out.position_transmitted();
            self.out.advance(gone as usize);
            self.out.move_front((end - unit.start) as usize, &mut out);
            units.push_back(Unit {
                start,
                session: unit.session,
            });
        }
        self.out = out;
        self.units = units;
        self.units_stale = 0;
    }

    /// Takes what was read from the socket. Poll until there is no event before reading more, so that
    /// chunks do not heap up. Without a connection this does nothing.
    #[inline]
    pub fn receive(&mut self, chunk: Bytes) {
        if self.is_connected {
            self.framer.push(chunk);
        }
    }

    /// The next event; None when nothing more is known at `now`. Replies that were received go before
    /// expiries, so that one that came in time is not thrown away because the poll came late.
    ///
    /// # Errors
    /// [`ProtocolError`] for what no Skynet node sends. The connection is to be closed and
    /// [`CallerLink::disconnected`] called; the calls get their events from that.
    #[inline]
    pub fn poll_event(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        if let Some(loss) = self.losses.pop_front() {
            if self.losses.is_empty() {
                self.losses = VecDeque::new();
            }
            return Ok(Some(loss));
        }
        while let Some(package) = self.framer.next_package() {
            let event = match decode_response(package)? {
                ResponseFrame::Ok { session, payload } => self.last_part(session, payload)?,
                ResponseFrame::Error { session, text } => self.error(session, text),
                ResponseFrame::Head { session, total } => self.head(session, total)?,
                ResponseFrame::Part { session, payload } => self.part(session, &payload)?,
                ResponseFrame::LastPart { session, payload } => self.last_part(session, payload)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(self.expire(now))
    }

    /// A whole reply, or the end of one in parts: Skynet takes each for the other.
    #[inline]
    fn last_part(&mut self, session: u32, part: Bytes) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.partials.is_empty() {
            return Ok(self.reply(session, part));
        }
        match self.partials.append(session, &part, true) {
            Appended::Unknown => Ok(self.reply(session, part)),
            Appended::Complete((), payload) => Ok(self.reply(session, payload)),
            other => self.incomplete(session, other),
        }
    }

    #[inline]
    fn reply(&mut self, session: u32, payload: Bytes) -> Option<CallerEvent> {
        let Some(Call { token, .. }) = self.end(session) else {
            self.late_replies += 1;
            return None;
        };
        if payload.len() > self.limits.message_bytes_max {
            return Some(CallerEvent::TooLarge {
                token,
                bytes: payload.len(),
            });
        }
        Some(CallerEvent::Reply {
            token,
            result: Ok(payload),
        })
    }

    fn error(&mut self, session: u32, text: Bytes) -> Option<CallerEvent> {
        let Some(Call { token, .. }) = self.end(session) else {
            self.late_replies += 1;
            return None;
        };
        Some(CallerEvent::Reply {
            token,
            result: Err(text),
        })
    }

    fn head(&mut self, session: u32, total: u32) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.sessions.get(session).is_none() {
            return Ok(None);
        }
        if total as usize
            <= self
                .limits
                .message_bytes_max
                .min(self.limits.reassembly_bytes_max)
        {
            self.partials.begin(session, total, Some(()))?;
            return Ok(None);
        }
        // The parts that follow find no call any more and are dropped.
        Ok(self.too_large(session, total))
    }

    fn part(&mut self, session: u32, part: &[u8]) -> Result<Option<CallerEvent>, ProtocolError> {
        if self.sessions.get(session).is_none() {
            return Ok(None);
        }
        let appended = self.partials.append(session, part, false);
        match appended {
            Appended::Unknown => Err(ProtocolError::PartWithoutHead { session }),
            other => self.incomplete(session, other),
        }
    }

    fn incomplete(
        &mut self,
        session: u32,
        appended: Appended<()>,
    ) -> Result<Option<CallerEvent>, ProtocolError> {
        match appended {
            Appended::LengthMismatch {
                declared, received, ..
            } => Err(ProtocolError::ReplyLength {
                session,
                declared,
                received,
            }),
            Appended::OverLimit { declared, .. } => Ok(self.too_large(session, declared)),
            Appended::Unknown | Appended::Pending | Appended::Complete(..) => Ok(None),
        }
    }

    fn too_large(&mut self, session: u32, total: u32) -> Option<CallerEvent> {
        let Call { token, .. } = self.end(session)?;
        Some(CallerEvent::TooLarge {
            token,
            bytes: total as usize,
        })
    }

    /// Ends the wait for a session and forgets all that belongs to it.
    #[inline]
    fn end(&mut self, session: u32) -> Option<Call> {
        let call = self.sessions.remove(session)?;
        if let Some(timer) = call.timer {
            self.timers.cancel(timer);
        }
        if !self.partials.is_empty() {
            self.partials.remove(session);
        }
        Some(call)
    }

    #[inline]
    fn expire(&mut self, now: Millis) -> Option<CallerEvent> {
        let session = self.timers.poll(now)?;
        let Call { token, .. } = self.end(session)?;
        if !self.is_connected {
            // Nothing of it was transmitted, or it would have been lost with the connection. Once
            // half of what waits is stale it is dropped, so that it does not use up the out-buffer.
            self.units_stale += 1;
            if self.units_stale * 2 > self.units.len() {
                self.rebuild();
            }
        }
        Some(CallerEvent::Expired { token })
    }

    /// When to poll next although nothing was received: never later than the earliest deadline, and
    /// maybe earlier, in which case the poll finds nothing and this gives a later time.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.next_deadline()
    }

    /// Calls that wait for their event, apart from losses that were not polled yet.
    pub fn outstanding(&self) -> usize {
        self.sessions.outstanding()
    }

    /// Whether there is nothing to wait for: no call, no event, no byte to be written.
    pub fn is_idle(&self) -> bool {
        self.outstanding() == 0 && self.losses.is_empty() && self.out.is_empty()
    }

    /// Whether a TCP connection is up, as far as this link was told.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether bytes of an unfinished package or reply are held.
    pub fn has_partial_input(&self) -> bool {
        self.framer.has_partial() || !self.partials.is_empty()
    }

    /// Replies that came for no outstanding call: mostly for calls that had expired.
    pub fn late_replies(&self) -> u64 {
        self.late_replies
    }

    /// Fills `slices` with what is to be written next; returns how many were filled. Nothing is shown
    /// while there is no connection.
    #[inline]
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.is_connected {
            self.out.slices(slices)
        } else {
            0
        }
    }

    /// The socket has taken `count` bytes of what [`CallerLink::transmit`] showed.
    ///
    /// # Panics
    /// When that is more than waited.
    #[inline]
    pub fn transmitted(&mut self, count: usize) {
        self.out.advance(count);
        if self.out.is_empty() {
            self.units.clear();
            self.units.shrink_to(KEPT_UNITS_MAX);
            return;
        }
        let transmitted = self.out.position_transmitted();
        while self.units.front().is_some_and(|unit| unit.start < transmitted) {
            self.units.pop_front();
        }
    }

    /// Whether something can be written now.
    #[inline]
    pub fn has_output(&self) -> bool {
        self.is_connected && !self.out.is_empty()
    }

    /// Bytes that wait for the socket or for a connection.
    pub fn out_buffer_bytes(&self) -> usize {
        self.out.len()
    }
}
