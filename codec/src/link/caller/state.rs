//! What a driver may ask of the dialler's end.

use super::{CallerLink, Stage};
use crate::link::Dialect;

impl CallerLink {
    /// Calls without an event yet, not counting events that were not polled.
    pub fn outstanding(&self) -> usize {
        self.sessions.outstanding()
    }

    /// Whether no call is outstanding, no event is left to poll and no byte is left to write.
    pub fn is_idle(&self) -> bool {
        let is_waiting = self.out_buffer_bytes() > 0 || self.has_output();
        self.outstanding() == 0 && self.failures.is_empty() && !is_waiting
    }

    /// Whether the peer may still have to receive a message: one waits for a connection, for the socket, or, in a session,
    /// for an acknowledgement.
    pub fn has_unreceived(&self) -> bool {
        match self.resume.has_session() {
            true => self.queue.cost() + self.queue.retained_cost() > 0,
            false => self.out_buffer_bytes() > 0,
        }
    }

    /// The calls and sends that were accepted so far.
    pub fn messages_accepted(&self) -> u64 {
        self.queue.next_number()
    }

    /// Whether a TCP connection is up, as far as it was reported to this link.
    pub fn is_connected(&self) -> bool {
        self.stage != Stage::Down
    }

    /// The dialect of the connection; None without one, and until the peer has answered the hello.
    pub fn dialect(&self) -> Option<Dialect> {
        match self.stage {
            Stage::Up(dialect) | Stage::Draining(dialect) => Some(dialect),
            Stage::Down | Stage::Handshake { .. } => None,
        }
    }

    /// Whether bytes of an unfinished package, frame or reply are held.
    pub fn has_partial_input(&self) -> bool {
        self.framer.has_partial() || !self.partials.is_empty() || self.frames.has_partial()
    }

    /// Replies without an outstanding call: mostly of calls that had expired.
    pub fn late_replies(&self) -> u64 {
        self.late_replies
    }

    /// Sends that were dropped before a byte of them was transmitted: their deadline had passed before a connection
    /// took them, or the link was closed or abandoned.
    pub fn sends_dropped(&self) -> u64 {
        self.sends_dropped
    }
}
