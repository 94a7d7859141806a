//! The release of the messages that waited for a connection.
//!
//! They leave in steps, so that a peer that is back does not receive all of them at once. Each step is twice as large as
//! the one before, up to a limit, and comes a pause later, if the socket has taken the one before by then: a peer that
//! does not read gets nothing more. What is accepted meanwhile queues behind them, so the order holds.
//!
//! Invariant: while messages wait on a connection, the next step is scheduled.

use super::{CallerLink, Dialect, Stage, is_wanted, release};
use crate::Millis;
use crate::link::queue::Queue;

/// The largest step, in messages. At the pause between steps this is more than a channel transfers, so that the queue
/// shrinks however many are accepted meanwhile.
pub const RELEASED_AT_ONCE_MAX: usize = 16_384;

/// The bytes of a step: it ends with the message that reaches them. Counted as in [`CallerLimits`](super::CallerLimits).
pub const RELEASED_BYTES_AT_ONCE_MAX: usize = 8 << 20;

/// The pause between two steps, in milliseconds.
pub const RELEASE_PAUSE_MS: Millis = 5;

/// The progress of a release.
#[derive(Debug)]
pub(super) struct Release {
    /// When the next step is due; [`Millis::MAX`] when no message waits.
    at: Millis,
    /// The messages of the next step.
    step: usize,
}

impl Release {
    pub(super) fn new() -> Self {
        Self {
            at: Millis::MAX,
            step: 0,
        }
    }

    /// The connection has ended.
    pub(super) fn stop(&mut self) {
        self.at = Millis::MAX;
    }

    /// When the next step is due, if there is one.
    pub(super) fn deadline(&self) -> Option<Millis> {
        (self.at != Millis::MAX).then_some(self.at)
    }

    #[inline]
    pub(super) fn is_due(&self, now: Millis) -> bool {
        now >= self.at
    }
}

impl CallerLink {
    /// Begins to encode the messages that wait, for a connection that is up.
    pub(super) fn begin_release(&mut self, dialect: Dialect) {
        self.release.step = self.limits.released_at_once_min.clamp(1, RELEASED_AT_ONCE_MAX);
        self.encode_step(dialect);
    }

    /// Encodes the messages of the next step, which is due.
    #[inline(never)]
    pub(super) fn continue_release(&mut self) {
        match self.stage {
            Stage::Up(dialect) if self.out.is_empty() => self.encode_step(dialect),
            Stage::Up(_) => self.release.at = self.now.saturating_add(RELEASE_PAUSE_MS),
            // They wait for the next connection.
            Stage::Down | Stage::Handshake { .. } | Stage::Draining(_) => self.release.stop(),
        }
    }

    fn encode_step(&mut self, dialect: Dialect) {
        let step = self.release.step;
        let mut queue = std::mem::replace(&mut self.queue, Queue::new());
        queue.encode_waiting(step, RELEASED_BYTES_AT_ONCE_MAX, |message| {
            // An expired call gets its event from its deadline.
            let is_late = message.deadline <= self.now;
            self.sends_dropped += u64::from(is_late && message.session == 0);
            let is_wanted = !is_late && is_wanted(&self.sessions, message) || fault!(LateSent);
            let is_encoded = is_wanted && self.encode(dialect, message);
            if !is_encoded {
                release(&mut self.names, message);
            }
            is_encoded
        });
        self.queue = queue;
        self.release.step = (step * 2).min(RELEASED_AT_ONCE_MAX);
        self.release.at = match self.queue.has_waiting() {
            true => self.now.saturating_add(RELEASE_PAUSE_MS),
            false => Millis::MAX,
        };
    }
}
