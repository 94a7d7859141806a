//! Virtual time: what is to happen, in order. It costs nothing to wait.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use skyring_codec::Millis;

use super::network::Side;

/// What happens at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A process makes calls, sends, or changes something.
    Operate { node: usize, generation: u32 },
    /// Something goes wrong.
    Disturb,
    /// A process starts.
    Start { node: usize },
    /// A connect has come to its end.
    Connected { dialler: usize, attempt: u64 },
    /// The pause after a failed attempt is over.
    Retry { dialler: usize, attempt: u64 },
    /// A deadline of a dialler's link has come.
    Deadline { dialler: usize },
    /// Bytes, or the end of them, have come to one side of a connection.
    Readable { connection: usize, side: Side },
    /// One side of a connection may write again.
    Writable { connection: usize, side: Side },
    /// One side of a connection has output, and its turn ends.
    Flush { connection: usize, side: Side },
    /// A handler is done.
    Answer {
        acceptor: usize,
        session: u32,
        message: u64,
    },
    /// A deadline of an acceptor's link has come.
    Tick { acceptor: usize },
    /// An acceptor that does not read says that it lives.
    SendHeartbeat { acceptor: usize },
    /// An acceptor has kept a session for long enough.
    Forget { acceptor: usize },
    /// An acceptor that said goodbye closes.
    Leave { connection: usize },
    /// Everything has been idle for a while.
    Settled,
    /// A connection that lets nothing pass does so again.
    Heal { connection: usize },
}

#[derive(Debug, PartialEq, Eq)]
struct Scheduled {
    at: Millis,
    /// Counts what was scheduled: of two at the same time the first one happens first.
    number: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives out the greatest: that is to be the earliest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The time, and what is to happen.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: Millis,
    number: u64,
    scheduled: BinaryHeap<Scheduled>,
}

impl Clock {
    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// Has something happen at a time; at once when that has passed.
    pub(super) fn schedule(&mut self, at: Millis, event: Event) {
        self.number += 1;
        self.scheduled.push(Scheduled {
            at: at.max(self.now),
            number: self.number,
            event,
        });
    }

    /// Goes on to what happens next.
    pub(super) fn next(&mut self) -> Option<Event> {
        let Scheduled { at, event, .. } = self.scheduled.pop()?;
        self.now = at;
        Some(event)
    }
}
