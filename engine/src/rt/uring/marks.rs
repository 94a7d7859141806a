//! What a completion says it is for, as the number that the kernel hands back with it.
//!
//! ```text
//! bit 63     it is about taking the operation back
//! bits 32-62 the slot of the source
//! bits 3-31  the generation of the source, which distinguishes it from others that have used the slot
//! bits 0-2   which operation it is
//! ```

/// Generations have this many bits.
const GENERATION_BITS: u32 = 29;

/// Set beside an operation's own mark when the operation is cancelled.
const CANCEL: u64 = 1 << 63;

/// Which operation it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Something can be read.
    ReadPoll = 0,
    /// Something can be written.
    WritePoll = 1,
    /// Something was received.
    Receive = 2,
    /// Something was not sent; the slot is its place among the sends of one entry.
    Send = 3,
    /// The ring's own; the slot says what.
    Own = 4,
    /// A connection was shut down.
    ShutDown = 5,
}

/// Names a source at its ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SourceKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl SourceKey {
    /// The generation after this one.
    pub(super) fn next_generation(self) -> u32 {
        (self.generation + 1) & ((1 << GENERATION_BITS) - 1)
    }
}

/// What a completion is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(pub(super) u64);

impl Mark {
    pub(super) const fn new(key: SourceKey, kind: Kind) -> Mark {
        Mark((key.slot as u64) << 32 | (key.generation as u64) << 3 | kind as u64)
    }

    /// One that belongs to no source.
    pub(super) const fn numbered(kind: Kind, number: u32) -> Mark {
        let key = SourceKey {
            slot: number,
            generation: 0,
        };
        Mark::new(key, kind)
    }

    /// The mark of taking back the operation of this mark.
    pub(super) const fn cancel(self) -> Mark {
        Mark(self.0 | CANCEL)
    }

    pub(super) const fn is_cancel(self) -> bool {
        self.0 & CANCEL != 0
    }

    /// The operation that was cancelled.
    pub(super) const fn of_operation(self) -> Mark {
        Mark(self.0 & !CANCEL)
    }

    pub(super) const fn key(self) -> SourceKey {
        SourceKey {
            slot: (self.0 >> 32) as u32 & (u32::MAX >> 1),
            generation: (self.0 as u32) >> 3,
        }
    }

    /// `None` for a number that is no mark of ours.
    pub(super) const fn kind(self) -> Option<Kind> {
        match self.0 & 7 {
            0 => Some(Kind::ReadPoll),
            1 => Some(Kind::WritePoll),
            2 => Some(Kind::Receive),
            3 => Some(Kind::Send),
            4 => Some(Kind::Own),
            5 => Some(Kind::ShutDown),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_it_was_made_of() {
        for slot in [0, 1, (1 << 31) - 1] {
            for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                for kind in [
                    Kind::ReadPoll,
                    Kind::WritePoll,
                    Kind::Receive,
                    Kind::Send,
                    Kind::Own,
                    Kind::ShutDown,
                ] {
                    let key = SourceKey { slot, generation };
                    let mark = Mark::new(key, kind);
                    assert_eq!((mark.key(), mark.kind()), (key, Some(kind)));
                    assert!(!mark.is_cancel());
                    let back = mark.cancel();
                    assert!(back.is_cancel());
                    assert_eq!(back.of_operation(), mark);
                    assert_eq!((back.key(), back.kind()), (key, Some(kind)));
                }
            }
        }
    }
}
