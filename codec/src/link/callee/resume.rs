//! The session at the acceptor's end: it outlives a connection and is resumed on the connection of another link.
//!
//! A link without a connection is kept while it has a session, and still takes answers. When the hello of a new
//! connection names that session, the link takes over the connection from the link that was created for it. If its
//! old connection still seems to be up, that one loses the session: nothing more is read from it, so nothing comes
//! out twice.
//!
//! Invariants:
//! - a session belongs to one link, and has one connection at a time;
//! - only a hello with its secret, from the same process and on the same channel, resumes it, and where there is a
//!   cluster secret only one with a higher number than the last;
//! - a request comes out at most once: the answer to the hello contains the number of received requests, and the
//!   caller replays from there;
//! - an answer is written on each connection until the caller has acknowledged it, in order.

use super::{CalleeLink, Stage};
use crate::Millis;
use crate::chunks::Chunks;
use crate::link::caller::put_ack;
use crate::native::{
    FrameError, FrameReader, Hash, Header, Hello, HelloError, NONCE_BYTES, NamesIn, Resumption,
};
use crate::outbuffer::OutBuffer;
use crate::skynet::Framer;

/// The fields of a hello that are needed for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingHello {
    /// The session of its answer.
    pub(super) session: u32,
    /// The version that it offers.
    pub(super) version: u32,
    epoch: u64,
    channel: u32,
    resume: Resumption,
    attempt: u64,
    /// The secret that its caller has shown to have, and the hash of the hello.
    pub(super) proved: Option<(usize, Hash)>,
}

impl PendingHello {
    pub(super) fn new(session: u32, hello: &Hello, proved: Option<(usize, Hash)>) -> Self {
        Self {
            session,
            version: hello.version,
            epoch: hello.epoch,
            channel: hello.channel,
            resume: hello.resume,
            attempt: hello.attempt,
            proved,
        }
    }

    /// Whether it comes after the hello with the number `attempt`. Only where there is a secret are they numbered.
    fn is_after(&self, attempt: u64) -> bool {
        self.proved.is_none() || self.attempt > attempt || fault!(AttemptForgotten)
    }
}

/// A session at the acceptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    secret: [u8; NONCE_BYTES],
    epoch: u64,
    channel: u32,
    /// The number of the last hello that began or resumed it.
    attempt: u64,
    /// Its caller has proved the cluster secret, or need not.
    pub(super) is_proved: bool,
}

impl CalleeLink {
    /// Begins a session if both ends want one; returns the field `resume` of the answer to the hello.
    pub(super) fn begin_session(&mut self, pending: &PendingHello, hello: &Hello) -> Resumption {
        let is_new = pending.resume != Resumption::Off && self.limits.retained_bytes_max > 0;
        self.session = is_new.then_some(Session {
            secret: hello.nonce,
            epoch: pending.epoch,
            channel: pending.channel,
            attempt: pending.attempt,
            is_proved: pending.proved.is_none(),
        });
        self.acks.start(is_new);
        if is_new { Resumption::New } else { Resumption::Off }
    }

    /// The secret of the session that outlives the connection; None without one.
    pub fn session_secret(&self) -> Option<[u8; NONCE_BYTES]> {
        self.session.map(|session| session.secret)
    }

    /// Whether there is a session whose caller has proved the cluster secret on some connection, or need not.
    pub fn is_session_proved(&self) -> bool {
        self.session.is_some_and(|session| session.is_proved)
    }

    /// The connection has ended. True when there is a session to resume: keep the link, and pass it the answers to
    /// received requests, until another connection [resumes](CalleeLink::resume) it.
    pub fn disconnected(&mut self) -> bool {
        let is_native = matches!(self.stage, Stage::Native | Stage::Unproved(_) | Stage::Detached);
        if !is_native || self.session.is_none() {
            return false;
        }
        self.stage = Stage::Detached;
        self.acks.pause();
        self.framer = Framer::new();
        self.frames = FrameReader::starting_with(Chunks::default());
        self.names = NamesIn::default();
        self.out = OutBuffer::new();
        // The positions of the next connection's output begin at 0: it holds no acknowledgement.
        self.ack_end = 0;
        // Also before the first request: lost requests are replayed only within the session.
        true
    }

    /// Whether this link has the session that the hello of `greeted` names, and all answers that its caller has not
    /// received.
    pub fn can_resume(&self, greeted: &CalleeLink) -> bool {
        self.resumable(greeted).is_some()
    }

    /// Whether the hello of `greeted` names the session of this link, but acknowledges less than its caller has
    /// acknowledged since on another connection: it arrived late, and its dialler no longer waits for an answer.
    pub fn is_outdated(&self, greeted: &CalleeLink) -> bool {
        self.named_by(greeted).is_some_and(|(pending, received)| {
            self.retained.is_acknowledged_beyond(received) || !self.is_next(&pending)
        })
    }

    /// The hello to answer, and how many answers its caller has received.
    fn resumable(&self, greeted: &CalleeLink) -> Option<(PendingHello, u64)> {
        self.named_by(greeted)
            .filter(|(pending, received)| self.is_next(pending) && self.retained.can_replay(*received))
    }

    /// Whether a hello that names this session is newer than those before.
    fn is_next(&self, pending: &PendingHello) -> bool {
        self.session.is_some_and(|own| pending.is_after(own.attempt))
    }

    /// The hello of `greeted`, if it names the session of this link, and how many answers its caller has received.
    fn named_by(&self, greeted: &CalleeLink) -> Option<(PendingHello, u64)> {
        let (Some(own), Stage::HelloPending(pending)) = (self.session, greeted.stage) else {
            return None;
        };
        let Resumption::Session { session, received } = pending.resume else {
            return None;
        };
        // Compared completely, so that the time of the comparison does not depend on the number of equal bytes.
        let bytes = own.secret.iter().zip(session);
        let differing = bytes.fold(0, |bits, (one, other)| bits | (one ^ other));
        let is_own = differing == 0 && own.epoch == pending.epoch && own.channel == pending.channel;
        is_own.then_some((pending, received))
    }

    /// Resumes the session on the connection of `greeted`, whose hello names it, and answers that with the own
    /// hello. Answers that the caller has not received are replayed.
    ///
    /// # Errors
    /// [`HelloError`] when the session [cannot be resumed](CalleeLink::can_resume), and for a hello that no peer
    /// would accept. The link is unchanged then.
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
        let stage = greeted.answer(&pending, &answer)?;
        self.disconnected();
        let is_known = self.retained.acknowledge(received);
        debug_assert_eq!(is_known, Ok(()), "resumable() has checked it");
        if stage == Stage::Native {
            self.retained.replay(&mut greeted.out);
        }
        if let Some(session) = &mut self.session {
            session.attempt = pending.attempt;
        }
        self.frames = FrameReader::starting_with(greeted.framer.take_chunks());
        self.out = greeted.out;
        self.access = greeted.access;
        self.packages_seen += greeted.packages_seen;
        self.requests_seen += greeted.requests_seen;
        self.stage = stage;
        Ok(())
    }

    /// The caller has said goodbye: the session ends with the connection.
    pub(super) fn end_session(&mut self) {
        self.session = None;
        self.acks.start(false);
        self.retained.trim(0);
        self.retained.release();
    }

    /// Handles an acknowledgement.
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

    /// Counts a received request, and acknowledges if enough have arrived.
    #[inline]
    pub(super) fn note_received(&mut self, payload_bytes: usize) {
        if self.acks.note(payload_bytes) {
            self.put_ack();
        }
    }

    /// Acknowledges the received requests, unless the last acknowledgement still waits for the socket.
    #[inline(never)]
    fn put_ack(&mut self) {
        if self.out.position_transmitted() < self.ack_end {
            return self.acks.defer();
        }
        put_ack(&mut self.out, &mut self.acks);
        self.ack_end = self.out.position_put();
    }

    /// Does the work that is due by time: acknowledges received requests. Call it after all received input was
    /// polled, and at [`CalleeLink::next_deadline`].
    #[inline]
    pub fn tick(&mut self, now: Millis) {
        if self.acks.is_due(now) {
            self.put_ack();
        }
    }

    /// When to [tick](CalleeLink::tick) next if nothing is received.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.acks.deadline()
    }

    /// Drops the oldest retained answers, until at most `bytes_max` bytes are left. The session cannot be resumed
    /// if one of the dropped answers is needed.
    pub fn trim_retained(&mut self, bytes_max: usize) {
        self.retained.trim(bytes_max);
        self.retained.release();
    }
}
