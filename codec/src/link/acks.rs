//! What one end has received of the numbered frames, and when it says so to the other.
//!
//! An acknowledgement goes out with other output after so many frames or bytes, and on a timer when nothing else is
//! going on. Small frames weigh more than they have bytes, because each costs its keeper a record.
//!
//! Invariant: while acknowledgements are on, what was received and not written weighs less than
//! [`ACK_WEIGHT_MAX`], or is written at the next opportunity.

use crate::Millis;

/// What may be received without being acknowledged: so many bytes, where each frame counts as its payload and
/// [`FRAME_WEIGHT`].
pub(super) const ACK_WEIGHT_MAX: usize = 128 * 1024;

/// What a frame weighs beside its payload.
const FRAME_WEIGHT: usize = 1024;

/// After so long, in milliseconds, the rest is acknowledged.
pub const ACK_DELAY_MS_MAX: Millis = 20;

/// The count of one end. See the module's page.
#[derive(Debug)]
pub(super) struct Acks {
    is_on: bool,
    received: u64,
    /// Of what was received and not written.
    weight: usize,
    /// When that is to be written; [`Millis::MAX`] while no time was set.
    until: Millis,
    is_deferred: bool,
    /// The latest time that it was told.
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

    /// A session begins, or none that would be resumed.
    pub(super) fn start(&mut self, is_on: bool) {
        *self = Self { is_on, ..Self::new() };
    }

    /// The connection is over, or has just begun with this number said in the hello: nothing is due.
    pub(super) fn pause(&mut self) {
        self.weight = 0;
        self.until = Millis::MAX;
        self.is_deferred = false;
    }

    /// A numbered frame has come; whether to announce it at once.
    #[inline]
    pub(super) fn note(&mut self, payload_bytes: usize) -> bool {
        self.received += 1;
        if !self.is_on {
            return false;
        }
        self.weight += FRAME_WEIGHT + payload_bytes;
        self.weight >= ACK_WEIGHT_MAX && !self.is_deferred
    }

    /// Whether to announce now what has come. To be asked after everything that came was noted.
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

    /// What was written last has been written: what was put off since is due with the next frame that comes.
    #[inline]
    pub(super) fn written(&mut self) {
        self.is_deferred = false;
    }

    /// It could not be written, because the last announcement is not written yet: it is due once that is, or
    /// later, however much comes meanwhile.
    pub(super) fn defer(&mut self) {
        self.until = self.now.saturating_add(ACK_DELAY_MS_MAX);
        self.is_deferred = true;
    }

    /// The number to announce, which counts as done.
    pub(super) fn announce(&mut self) -> u64 {
        self.pause();
        self.received
    }

    /// How many numbered frames have come: the number of the next one.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// When to ask whether something is due.
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
    fn many_frames_or_many_bytes_are_announced_at_once() {
        let mut acks = on();
        let noted: Vec<_> = (0..128).map(|_| acks.note(0)).collect();
        assert_eq!(noted.iter().position(|is_due| *is_due), Some(127));
        assert_eq!((acks.announce(), acks.received()), (128, 128));
        assert!(!acks.note(1_000));
        assert!(acks.note(ACK_WEIGHT_MAX));
        assert_eq!(acks.announce(), 130);
        assert!(!acks.is_due(Millis::MAX - 1) && acks.deadline().is_none());
    }

    #[test]
    fn few_are_announced_after_a_while() {
        let mut acks = on();
        assert!(!acks.note(10));
        assert!(!acks.is_due(1_000));
        let until = 1_000 + ACK_DELAY_MS_MAX;
        assert_eq!(acks.deadline(), Some(until));
        // More of them do not put it off.
        assert!(!acks.note(10) && !acks.is_due(until - 1));
        assert!(acks.is_due(until));
        assert_eq!((acks.announce(), acks.deadline()), (2, None));
        assert!(!acks.is_due(until + 1_000));
    }

    #[test]
    fn what_cannot_be_announced_is_due_again_later_and_not_before() {
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
        acks.announce();
        assert!(acks.note(ACK_WEIGHT_MAX));
    }

    #[test]
    fn deferred_frames_are_announced_with_the_next_frame_once_the_last_announcement_is_written() {
        let mut acks = on();
        assert!(acks.note(ACK_WEIGHT_MAX));
        acks.defer();
        assert!(!acks.note(1));
        acks.written();
        assert!(acks.note(1));
        assert_eq!((acks.announce(), acks.deadline()), (3, None));
    }

    #[test]
    fn without_a_session_frames_are_counted_and_nothing_is_due() {
        let mut acks = Acks::new();
        assert!((0..1_000).all(|_| !acks.note(ACK_WEIGHT_MAX)));
        assert!(!acks.is_due(1_000_000));
        assert_eq!((acks.received(), acks.deadline()), (1_000, None));
    }
}
