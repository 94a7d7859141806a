//! The heartbeat at the dialler's end: it pings a silent peer, and reports a quiet one.

use bytes::Bytes;

use super::failures::lost;
use super::{CallerEvent, CallerLink, Stage};
use crate::Millis;
use crate::link::heartbeat::{Beat, Heartbeat, HeartbeatLimits};
use crate::link::{Dialect, ProtocolError};
use crate::native::{FrameKind, Header, put_frame};
use crate::skynet::{Address, encode_request};

/// The packed text `skyring.ping`: a name that no node has. In the skynet dialect a ping is a query for it.
const PING_NAME: &[u8] = b"\x64skyring.ping";

impl CallerLink {
    /// Sets the limits of the heartbeat, for the next connection and for the current one.
    pub fn watch(&mut self, limits: HeartbeatLimits) {
        self.heartbeat = Heartbeat::new(limits);
        if self.dialect().is_some() {
            self.heartbeat.start(self.now);
        }
    }

    /// Does what the heartbeat requires at `now`.
    #[inline]
    pub(super) fn beat(&mut self, now: Millis) -> Result<Option<CallerEvent>, ProtocolError> {
        let beat = match self.heartbeat.poll(now) {
            Some(beat) => beat,
            None => {
                let is_idle = self.waits_for_nothing();
                self.heartbeat.poll_silent(now, is_idle)
            }
        };
        match beat {
            Beat::Wait => Ok(None),
            Beat::Ping(session) => {
                self.put_ping(session);
                Ok(None)
            }
            Beat::Quiet => Ok(Some(CallerEvent::Quiet)),
            Beat::Heard => Ok(Some(CallerEvent::Heard)),
            Beat::Silent(ms) => Err(ProtocolError::Silent { ms }),
        }
    }

    fn put_ping(&mut self, session: u32) {
        let (Stage::Up(dialect) | Stage::Draining(dialect)) = self.stage else {
            return;
        };
        match dialect {
            Dialect::Native => {
                let header = Header {
                    session,
                    ..Header::new(FrameKind::Ping)
                };
                put_frame(&mut self.out, header, &Bytes::new());
            }
            Dialect::Skynet => {
                let session = self.sessions.next_number();
                self.heartbeat.set_session(session);
                let payload = Bytes::from_static(PING_NAME);
                let written = encode_request(&mut self.out, Address::Handle(0), session, &payload);
                debug_assert_eq!(written, Ok(()), "it is short");
            }
        }
    }

    /// The socket takes bytes again after it took none for a while: the peer reads, which is a sign of life.
    pub fn note_progress(&mut self) {
        self.heartbeat.note();
    }

    /// Sets how much longer than the interval this link delays its ping while it waits for nothing, in milliseconds; see
    /// [`HeartbeatLimits::turn_ms`].
    pub fn set_turn(&mut self, turn_ms: Millis) {
        self.heartbeat.set_turn(turn_ms);
    }

    /// The peer was heard at this time on another connection between the two nodes. While this one waits for nothing, that
    /// is a sign of life on it too; so it is only pinged when no other one is, or when it waits for something.
    pub fn hear_elsewhere(&mut self, at: Millis) {
        if self.waits_for_nothing() {
            self.heartbeat.hear_elsewhere(at);
        }
    }

    /// Whether the peer has nothing to answer, to acknowledge or to receive.
    pub fn waits_for_nothing(&self) -> bool {
        self.outstanding() == 0 && self.out_buffer_bytes() == 0 && !self.has_output()
    }

    /// How many pings were sent; [`CallerLink::pongs_received`] counts those that were answered.
    pub fn pings_sent(&self) -> u64 {
        self.heartbeat.pings()
    }

    /// How many pings were answered.
    pub fn pongs_received(&self) -> u64 {
        self.heartbeat.pongs()
    }

    /// Withdraws the calls that wait for the next connection and whose token satisfies `condition`: each is lost,
    /// and may have run if it was transmitted on an earlier connection. Calls on the current connection stay.
    pub fn withdraw(&mut self, condition: impl Fn(u64) -> bool) {
        let first = self.queue.first_waiting_number();
        let is_up = !matches!(self.stage, Stage::Down | Stage::Handshake { .. });
        let before = self.failures.len();
        self.lose(
            first,
            |call| (call.number >= first || !is_up) && condition(call.token),
            lost,
        );
        // While a connection drains, the next one drops the withdrawn messages when it begins.
        if self.failures.len() > before && matches!(self.stage, Stage::Down | Stage::Handshake { .. }) {
            self.drop_unwanted();
        }
    }
}
