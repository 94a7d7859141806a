//! The numbered frames that one end has received, and when it acknowledges them.
//!
//! An acknowledgement is written with other output after a number of frames or bytes, and on a timer otherwise. Small
//! frames weigh more than their bytes, because the other end retains a record of each.
//!
//! Invariant: while acknowledgements are on, the frames that are received and not acknowledged weigh less than
//! [`ACK_WEIGHT_MAX`], or an acknowledgement is written at the next opportunity.

use crate::Millis;

/// The weight of frames that may be received without an acknowledgement, in bytes: each frame counts as its payload
/// and [`FRAME_WEIGHT`].
pub(super) const ACK_WEIGHT_MAX: usize = 128 * 1024;

/// The weight of a frame in addition to its payload.
const FRAME_WEIGHT: usize = 1024;

/// The longest delay of an acknowledgement, in milliseconds.
pub const ACK_DELAY_MS_MAX: Millis = 20;

/// The acknowledgements of one end. See the module documentation.
#[derive(Debug)]
pub(super) struct Acks {
    is_on: bool,
    received: u64,
    /// The weight of frames that are received and not acknowledged.
    weight: usize,
    /// When they must be acknowledged; [`Millis::MAX`] while no time is set.
    until: Millis,
    is_deferred: bool,
    /// The latest time that was passed in.
    now: Millis,
}

impl Acks {
    pub(super) fn new() -> Self {
        Self {
            is_on: false,
            received: 0,
            weight: 0,
            until: Millis::MAX,
            is_deferred: false,
            now: 0,
        }
    }

    /// Begins a session, or a connection without one.
    pub(super) fn start(&mut self, is_on: bool) {
        *self = Self { is_on, ..Self::new() };
    }

    /// The connection has ended, or a hello has acknowledged everything: no acknowledgement is due.
    pub(super) fn pause(&mut self) {
        self.weight = 0;
        self.until = Millis::MAX;
        self.is_deferred = false;
    }

    /// Counts a received frame; returns whether to acknowledge it at once.
    #[inline]
    pub(super) fn note(&mut self, payload_bytes: usize) -> bool {
        self.received += 1;
        if !self.is_on {
            return false;
        }
        self.weight += FRAME_WEIGHT + payload_bytes;
        self.weight >= ACK_WEIGHT_MAX && !self.is_deferred
    }

    /// Whether an acknowledgement is due. Call this after all received frames were noted.
    #[inline]
    pub(super) fn is_due(&mut self, now: Millis) -> bool {
        if self.weight == 0 || fault!(AckSkipped) {
            return false;
        }
        self.now = now;
        if self.until == Millis::MAX {
            self.until = now.saturating_add(ACK_DELAY_MS_MAX);
        }
        now >= self.until || (self.weight >= ACK_WEIGHT_MAX && !self.is_deferred)
    }

    /// The last acknowledgement has been written: a deferred one is due with the next frame that arrives.
    #[inline]
    pub(super) fn written(&mut self) {
        self.is_deferred = false;
    }

    /// The acknowledgement cannot be written, because the last one still waits for the socket. It is due once that
    /// one is written, or after the delay, however many frames arrive meanwhile.
    pub(super) fn defer(&mut self) {
        self.until = self.now.saturating_add(ACK_DELAY_MS_MAX);
        self.is_deferred = true;
    }

    /// The number to acknowledge; no acknowledgement is due afterwards.
    pub(super) fn acknowledge(&mut self) -> u64 {
        self.pause();
        self.received
    }

    /// How many numbered frames were received: the number of the next one.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// When to check whether an acknowledgement is due.
    pub(super) fn deadline(&self) -> Option<Millis> {
        (self.until != Millis::MAX).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Acks {
        let mut acks = Acks::new();
        acks.start(true);
        acks
    }

    #[test]
    fn many_frames_or_many_bytes_are_acknowledged_at_once() {
        let mut acks = on();
        let noted: Vec<_> = (0..128).map(|_| acks.note(0)).collect();
        assert_eq!(noted.iter().position(|is_due| *is_due), Some(127));
        assert_eq!((acks.acknowledge(), acks.received()), (128, 128));
        assert!(!acks.note(1_000));
        assert!(acks.note(ACK_WEIGHT_MAX));
        assert_eq!(acks.acknowledge(), 130);
        assert!(!acks.is_due(Millis::MAX - 1) && acks.deadline().is_none());
    }

    #[test]
    fn few_frames_are_acknowledged_after_the_delay() {
        let mut acks = on();
        assert!(!acks.note(10));
        assert!(!acks.is_due(1_000));
        let until = 1_000 + ACK_DELAY_MS_MAX;
        assert_eq!(acks.deadline(), Some(until));
        // Further frames do not postpone it.
        assert!(!acks.note(10) && !acks.is_due(until - 1));
        assert!(acks.is_due(until));
        assert_eq!((acks.acknowledge(), acks.deadline()), (2, None));
        assert!(!acks.is_due(until + 1_000));
    }

    #[test]
    fn a_deferred_acknowledgement_is_due_after_the_delay_and_not_before() {
        let mut acks = on();
        assert!(!acks.note(1) && !acks.is_due(50));
        assert!(acks.note(ACK_WEIGHT_MAX));
        acks.defer();
        let until = 50 + ACK_DELAY_MS_MAX;
        assert!(!acks.note(ACK_WEIGHT_MAX) && !acks.is_due(until - 1));
        assert_eq!(acks.deadline(), Some(until));
        assert!(acks.is_due(until));
        acks.defer();
        assert_eq!(acks.deadline(), Some(until + ACK_DELAY_MS_MAX));
        acks.acknowledge();
        assert!(acks.note(ACK_WEIGHT_MAX));
    }

    #[test]
    fn deferred_frames_are_acknowledged_with_the_next_frame_after_the_last_acknowledgement_is_written() {
        let mut acks = on();
        assert!(acks.note(ACK_WEIGHT_MAX));
        acks.defer();
        assert!(!acks.note(1));
        acks.written();
        assert!(acks.note(1));
        assert_eq!((acks.acknowledge(), acks.deadline()), (3, None));
    }

    #[test]
    fn without_a_session_frames_are_counted_and_nothing_is_due() {
        let mut acks = Acks::new();
        assert!((0..1_000).all(|_| !acks.note(ACK_WEIGHT_MAX)));
        assert!(!acks.is_due(1_000_000));
        assert_eq!((acks.received(), acks.deadline()), (1_000, None));
    }
}
