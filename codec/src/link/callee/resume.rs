//! The session at the acceptor's end: it outlives the connection, and another link's connection goes on with it.
//!
//! A link whose connection is over is kept, and given answers, as long as it has a session. When a new
//! connection's hello names that session, the link that holds it takes the connection over from the link that was
//! made for it. Whoever does so while an old connection still seems to be there takes the session away from it: of
//! that nothing is read any more, so nothing comes out twice.
//!
//! Invariants:
//! - a session is held by one link, and goes on with one connection at a time;
//! - only who names its secret, as the same process and on the same channel, goes on with it;
//! - a request that came out once does not come out again: the count of what has come is said in the answer to
//!   the hello, and the caller goes on from there;
//! - an answer is written on each connection until the caller has said that it has it, in order.

use super::{CalleeLink, Stage};
use crate::Millis;
use crate::chunks::Chunks;
use crate::link::caller::put_ack;
use crate::native::{FrameError, FrameReader, Header, Hello, HelloError, NONCE_BYTES, NamesIn, Resumption};
use crate::outbuffer::OutBuffer;
use crate::skynet::{Framer, encode_ok_response};

/// What a hello says that is needed to answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingHello {
    /// What to answer it with.
    pub(super) session: u32,
    /// The version that it offers.
    pub(super) version: u32,
    epoch: u64,
    channel: u32,
    resume: Resumption,
}

impl PendingHello {
    pub(super) fn new(session: u32, hello: &Hello) -> Self {
        Self {
            session,
            version: hello.version,
            epoch: hello.epoch,
            channel: hello.channel,
            resume: hello.resume,
        }
    }
}

/// A session, as the acceptor knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    secret: [u8; NONCE_BYTES],
    epoch: u64,
    channel: u32,
}

impl CalleeLink {
    /// Begins a session, if both ends want one; gives what to say of it in the answer to the hello.
    pub(super) fn begin_session(&mut self, pending: &PendingHello, hello: &Hello) -> Resumption {
        let is_new = pending.resume != Resumption::Off && self.limits.retained_bytes_max > 0;
        self.session = is_new.then_some(Session {
            secret: hello.nonce,
            epoch: pending.epoch,
            channel: pending.channel,
        });
        self.acks.start(is_new);
        if is_new { Resumption::New } else { Resumption::Off }
    }

    /// The secret of the session that outlives the connection; None without one.
    pub fn session_secret(&self) -> Option<[u8; NONCE_BYTES]> {
        self.session.map(|session| session.secret)
    }

    /// The connection is over. True when there is a session to go on with: keep the link, and give it the
    /// answers to what has come, until another connection [resumes](CalleeLink::resume) it.
    pub fn disconnected(&mut self) -> bool {
        if !matches!(self.stage, Stage::Native | Stage::Detached) || self.session.is_none() {
            return false;
        }
        self.stage = Stage::Detached;
        self.acks.pause();
        self.framer = Framer::new();
        self.frames = FrameReader::starting_with(Chunks::default());
        self.names = NamesIn::default();
        self.out = OutBuffer::new();
        // The next connection's output is counted anew: no acknowledgement waits in it.
        self.ack_end = 0;
        // Also when nothing has come yet: what was lost on its way is written again only within the session.
        true
    }

    /// Whether this link has the session that the hello of `greeted` names, and all that its caller lacks.
    pub fn can_resume(&self, greeted: &CalleeLink) -> bool {
        self.resumable(greeted).is_some()
    }

    /// Whether the hello of `greeted` names this link's session, but is older than what its caller has acknowledged
    /// since on another connection: it came late, and nobody waits for an answer any more.
    pub fn is_outdated(&self, greeted: &CalleeLink) -> bool {
        self.named_by(greeted)
            .is_some_and(|(_, received)| self.retained.is_acknowledged_beyond(received))
    }

    /// What `greeted` has to be answered with, and how many answers its caller has.
    fn resumable(&self, greeted: &CalleeLink) -> Option<(PendingHello, u64)> {
        self.named_by(greeted)
            .filter(|(_, received)| self.retained.can_replay(*received))
    }

    /// The hello of `greeted`, if it names this link's session, and how many answers its caller has.
    fn named_by(&self, greeted: &CalleeLink) -> Option<(PendingHello, u64)> {
        let (Some(own), Stage::HelloPending(pending)) = (self.session, greeted.stage) else {
            return None;
        };
        let Resumption::Session { session, received } = pending.resume else {
            return None;
        };
        // Compared whole, so that the time it takes says nothing of how much is right.
        let bytes = own.secret.iter().zip(session);
        let differing = bytes.fold(0, |bits, (one, other)| bits | (one ^ other));
        let is_own = differing == 0 && own.epoch == pending.epoch && own.channel == pending.channel;
        is_own.then_some((pending, received))
    }

    /// Goes on with the connection of `greeted`, whose hello names this link's session, and answers that with
    /// this end's own. What the caller lacks is written again.
    ///
    /// # Errors
    /// [`HelloError`] when the session [cannot be resumed](CalleeLink::can_resume), and for a hello that no peer
    /// would take. The link is as it was then.
    pub fn resume(&mut self, mut greeted: CalleeLink, hello: &Hello) -> Result<(), HelloError> {
        let Some((pending, received)) = self.resumable(&greeted) else {
            return Err(HelloError::Session);
        };
        let Some(session) = self.session_secret() else {
            return Err(HelloError::Session);
        };
        let answer = Hello {
            version: hello.version.min(pending.version),
            resume: Resumption::Session {
                session,
                received: self.acks.received(),
            },
            ..hello.clone()
        };
        let payload = answer.pack()?;
        encode_ok_response(&mut greeted.out, pending.session, &payload)
            .map_err(|_| HelloError::Length { bytes: payload.len() })?;
        self.disconnected();
        let is_known = self.retained.acknowledge(received);
        debug_assert_eq!(is_known, Ok(()), "it was looked at before");
        self.retained.replay(&mut greeted.out);
        self.frames = FrameReader::starting_with(greeted.framer.take_chunks());
        self.out = greeted.out;
        self.packages_seen += greeted.packages_seen;
        self.requests_seen += greeted.requests_seen;
        self.stage = Stage::Native;
        Ok(())
    }

    /// The caller has said goodbye: the session ends with the connection.
    pub(super) fn end_session(&mut self) {
        self.session = None;
        self.acks.start(false);
        self.retained.trim(0);
        self.retained.release();
    }

    /// Takes what an acknowledgement says.
    pub(super) fn take_ack(&mut self, header: &Header) -> Result<(), FrameError> {
        let received = header.received();
        match self.session {
            Some(_) => self.retained.acknowledge(received),
            None => Err(FrameError::Acknowledgement {
                received,
                acknowledged: 0,
                sent: 0,
            }),
        }
    }

    /// A request has come: it is acknowledged when enough have.
    #[inline]
    pub(super) fn note_received(&mut self, payload_bytes: usize) {
        if self.acks.note(payload_bytes) {
            self.put_ack();
        }
    }

    /// Says how many requests have come, unless the last time that was said has not been written yet.
    #[inline(never)]
    fn put_ack(&mut self) {
        if self.out.position_transmitted() < self.ack_end {
            return self.acks.defer();
        }
        put_ack(&mut self.out, &mut self.acks);
        self.ack_end = self.out.position_put();
    }

    /// Does what is due by time: acknowledges what has come. To be called after everything that came was
    /// polled, and at [`CalleeLink::next_deadline`].
    #[inline]
    pub fn tick(&mut self, now: Millis) {
        if self.acks.is_due(now) {
            self.put_ack();
        }
    }

    /// When to [tick](CalleeLink::tick) next although nothing was received.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.acks.deadline()
    }

    /// Lets go of the oldest answers that are kept for another connection, until they have no more than so many
    /// bytes. The session cannot be resumed if one of them is needed.
    pub fn trim_retained(&mut self, bytes_max: usize) {
        self.retained.trim(bytes_max);
        self.retained.release();
    }
}
