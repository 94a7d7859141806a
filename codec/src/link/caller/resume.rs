//! The session at the dialler's end: it outlives a connection and is resumed on the next one.
//!
//! A session begins with a connection on which both ends want one; its secret is the nonce in the hello of the
//! acceptor. Messages are retained until the acceptor acknowledges them. The hello of the next connection names the
//! session and the number of received replies; the answer contains the number of received messages. The others are
//! encoded again as if they had never been begun, except those whose deadline has passed; so frames carry no
//! numbers on the wire.
//!
//! When the acceptor does not resume the session, begun messages may have run: their calls end, as restarted when
//! the acceptor is another process, else as forgotten, and sends are dropped. Only idempotent calls are sent again;
//! they are retained until they end, even after an acknowledgement.
//!
//! Invariants:
//! - a message that the acceptor has received is never replayed in its session, and one that it has not received is
//!   replayed in order;
//! - after a session has ended, only idempotent calls that were begun in it are sent again;
//! - a session without a connection ends after [`SESSION_KEPT_MS_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use super::{CallerEvent, CallerLink, Message, Stage, is_wanted, release};
use crate::Millis;
use crate::link::acks::Acks;
use crate::link::{ProtocolError, SESSION_KEPT_MS_MAX};
use crate::native::{FrameError, Header, Hello, HelloError, NONCE_BYTES, Resumption, put_frame};
use crate::outbuffer::OutBuffer;

/// A session that both ends have.
#[derive(Debug, Clone, Copy)]
struct Session {
    secret: [u8; NONCE_BYTES],
    /// The epoch of the acceptor's process.
    epoch: u64,
}

/// Why a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The acceptor is another process.
    Restarted,
    /// The acceptor has dropped the session.
    Forgotten,
    /// There was no connection for too long.
    Expired,
}

impl Ended {
    fn event(self, token: u64) -> CallerEvent {
        match self {
            Self::Restarted => CallerEvent::Restarted { token },
            Self::Forgotten => CallerEvent::Forgotten { token },
            Self::Expired => CallerEvent::Lost {
                token,
                may_have_run: true,
            },
        }
    }
}

/// The state of the session. See the module documentation.
#[derive(Debug)]
pub(super) struct Resume {
    is_wanted: bool,
    session: Option<Session>,
    /// The number of the next message that is encoded.
    pub(super) next_frame: u64,
    /// How many of them the acceptor has acknowledged.
    acknowledged: u64,
    /// The acknowledgements of received replies.
    pub(super) acks: Acks,
    /// The end of the last acknowledgement in the stream of the out-buffer.
    ack_end: u64,
    /// Idempotent calls that the acceptor has acknowledged, by number.
    repeatable: BTreeMap<u64, Message>,
    repeatable_cost: usize,
    /// Calls that are sent again in a later session, so that they may have run before.
    repeated: BTreeSet<u64>,
    /// When the session ends, unless there is a connection again.
    until: Option<Millis>,
    /// No time was passed in since the connection ended, so that `until` may be too early.
    is_time_unknown: bool,
}

impl Resume {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            session: None,
            next_frame: 0,
            acknowledged: 0,
            acks: Acks::new(),
            ack_end: 0,
            repeatable: BTreeMap::new(),
            repeatable_cost: 0,
            repeated: BTreeSet::new(),
            until: None,
            is_time_unknown: false,
        }
    }

    /// Whether messages are retained until they are acknowledged.
    #[inline]
    pub(super) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// The field `resume` of the hello.
    pub(super) fn offer(&self) -> Resumption {
        match self.session {
            _ if !self.is_wanted => Resumption::Off,
            None => Resumption::New,
            Some(Session { secret, .. }) => Resumption::Session {
                session: secret,
                received: self.acks.received(),
            },
        }
    }

    /// The cost of the idempotent calls that are retained after an acknowledgement.
    #[inline]
    pub(super) fn retained_cost(&self) -> usize {
        self.repeatable_cost
    }

    /// The connection has ended.
    pub(super) fn pause(&mut self, now: Millis) {
        self.acks.pause();
        self.is_time_unknown |= self.until.is_none();
        self.until.get_or_insert(now.saturating_add(SESSION_KEPT_MS_MAX));
    }

    /// The socket has taken all bytes before `transmitted`.
    #[inline]
    pub(super) fn written(&mut self, transmitted: u64) {
        if transmitted >= self.ack_end {
            self.acks.written();
        }
    }

    /// When the session without a connection ends.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.until
    }

    /// A call has ended and need not be retained.
    #[inline]
    pub(super) fn forget(&mut self, number: u64) -> Option<Message> {
        if self.repeatable.is_empty() && self.repeated.is_empty() {
            return None;
        }
        self.repeated.remove(&number);
        let message = self.repeatable.remove(&number)?;
        self.repeatable_cost -= message.cost;
        Some(message)
    }

    /// Whether a call was transmitted in an earlier session.
    #[inline]
    pub(super) fn is_repeated(&self, number: u64) -> bool {
        !self.repeated.is_empty() && self.repeated.contains(&number)
    }

    fn retain(&mut self, message: Message) {
        self.repeatable_cost += message.cost;
        self.repeatable.insert(message.number, message);
    }

    fn begin(&mut self, session: Option<Session>) {
        self.session = session;
        (self.next_frame, self.acknowledged) = (0, 0);
        self.acks.start(session.is_some());
        self.until = None;
    }

    /// Resets everything but whether a session is wanted.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.is_wanted);
    }
}

impl CallerLink {
    /// The peer has answered the hello: resumes the session, or begins another one.
    pub(super) fn settle_session(&mut self, peer: &Hello) -> Result<(), ProtocolError> {
        match (self.resume.session, peer.resume) {
            (Some(Session { secret, epoch }), Resumption::Session { session, received })
                if session == secret && epoch == peer.epoch =>
            {
                let received = if fault!(ReplayedTwice) {
                    received.saturating_sub(1).max(self.resume.acknowledged)
                } else {
                    received
                };
                if let Err(error) = self.acknowledge(received) {
                    self.end_session(Ended::Forgotten);
                    return Err(error.into());
                }
                // The peer has not received the others, so they count as not begun.
                let mut others = self.queue.take_begun();
                if fault!(LastDropped) {
                    others.pop();
                }
                if fault!(OrderReversed) {
                    others.reverse();
                }
                self.queue.wait(|_| true);
                self.queue.put_back(others.into_iter());
                self.resume.next_frame = received;
                self.resume.until = None;
                Ok(())
            }
            (_, Resumption::Session { .. }) => {
                self.end_session(Ended::Forgotten);
                Err(HelloError::Field { key: "session" }.into())
            }
            (session, Resumption::New | Resumption::Off) => {
                if fault!(EpochForgotten) {
                    let begun = self.queue.take_begun();
                    self.queue.wait(|_| true);
                    self.queue.put_back(begun.into_iter());
                } else if let Some(session) = session {
                    let is_same = session.epoch == peer.epoch;
                    self.end_session(if is_same {
                        Ended::Forgotten
                    } else {
                        Ended::Restarted
                    });
                }
                let is_new = self.resume.is_wanted && peer.resume == Resumption::New;
                self.resume.begin(is_new.then_some(Session {
                    secret: peer.nonce,
                    epoch: peer.epoch,
                }));
                Ok(())
            }
        }
    }

    /// The session has ended: its begun calls end, except idempotent ones, which are queued again. Without a
    /// session this does nothing. The out-buffer must hold no message.
    pub(super) fn end_session(&mut self, ended: Ended) {
        if !self.resume.has_session() {
            return;
        }
        let first = self.queue.first_number();
        let mut again = std::mem::take(&mut self.resume.repeatable);
        self.resume.repeatable_cost = 0;
        for message in self.queue.take_begun() {
            if message.is_idempotent && message.session != 0 && is_wanted(&self.sessions, &message) {
                again.insert(message.number, message);
            } else {
                release(&mut self.names, &message);
            }
        }
        self.lose(
            first,
            |call| call.number < first && !again.contains_key(&call.number),
            |token, _| ended.event(token),
        );
        self.resume.repeated.extend(again.keys());
        self.queue.wait(|_| true);
        self.queue.put_back(again.into_values());
        self.resume.begin(None);
    }

    /// The acceptor has received all messages below `received`.
    pub(super) fn acknowledge(&mut self, received: u64) -> Result<(), FrameError> {
        let (acknowledged, sent) = (self.resume.acknowledged, self.resume.next_frame);
        if !self.resume.has_session() || received < acknowledged || received > sent {
            return Err(FrameError::Acknowledgement {
                received,
                acknowledged,
                sent,
            });
        }
        self.resume.acknowledged = received;
        let (names, sessions, resume) = (&mut self.names, &self.sessions, &mut self.resume);
        self.queue.acknowledge(received, |message| {
            if message.is_idempotent && message.session != 0 && is_wanted(sessions, &message) {
                resume.retain(message);
            } else {
                release(names, &message);
            }
        });
        Ok(())
    }

    /// This end has said goodbye: the session ends with the connection, so nothing must be retained.
    pub(super) fn forget_session(&mut self) {
        for message in self.queue.take_begun() {
            release(&mut self.names, &message);
        }
        for message in std::mem::take(&mut self.resume.repeatable).into_values() {
            release(&mut self.names, &message);
        }
        self.resume.clear();
    }

    /// The next event without a connection.
    pub(super) fn poll_down(&mut self, now: Millis) -> Option<CallerEvent> {
        if std::mem::take(&mut self.resume.is_time_unknown) && self.resume.until.is_some() {
            self.resume.until = Some(now.saturating_add(SESSION_KEPT_MS_MAX));
        }
        if self.resume.until.is_some_and(|until| until <= now) {
            self.end_session(Ended::Expired);
            self.drop_unwanted();
        }
        self.failures.pop_front().or_else(|| self.expire(now))
    }

    /// Handles an acknowledgement.
    pub(super) fn take_ack(&mut self, header: &Header) -> Result<(), FrameError> {
        // Messages from before the goodbye may still be acknowledged.
        if matches!(self.stage, Stage::Draining(_)) && !self.resume.has_session() {
            return Ok(());
        }
        self.acknowledge(header.received())
    }

    /// Acknowledges the received replies, unless the last acknowledgement still waits for the socket: then it is
    /// deferred, so that the output does not grow for a peer that does not read.
    #[inline(never)]
    pub(super) fn put_ack(&mut self) {
        if self.out.position_transmitted() < self.resume.ack_end {
            return self.resume.acks.defer();
        }
        put_ack(&mut self.out, &mut self.resume.acks);
        self.resume.ack_end = self.out.position_put();
    }

    /// When the received replies are acknowledged, unless more arrive before; None when they are.
    pub fn ack_deadline(&self) -> Option<Millis> {
        self.resume.acks.deadline()
    }

    /// How many messages and how many replies were numbered in the session; None without a session.
    pub fn session_frames(&self) -> Option<(u64, u64)> {
        let frames = (self.resume.next_frame, self.resume.acks.received());
        self.resume.has_session().then_some(frames)
    }
}

/// Appends an acknowledgement of the received frames.
pub(in crate::link) fn put_ack(out: &mut OutBuffer, acks: &mut Acks) {
    put_frame(
        out,
        Header::acknowledging(acks.acknowledge()),
        &bytes::Bytes::new(),
    );
}
