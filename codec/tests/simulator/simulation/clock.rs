//! Virtual time: scheduled events in order. Waiting costs no real time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use skyring_codec::Millis;

use super::network::Side;

/// An event at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A process makes calls, sends, or changes something.
    Operate { node: usize, generation: u32 },
    /// A disturbance is applied.
    Disturb,
    /// A process starts.
    Start { node: usize },
    /// An attempt to connect has succeeded or failed.
    Connected { dialler: usize, attempt: u64 },
    /// The pause after a failed attempt is over.
    Retry { dialler: usize, attempt: u64 },
    /// A deadline of a dialler's link has passed.
    Deadline { dialler: usize },
    /// Bytes, or the end of the stream, have arrived at one side of a connection.
    Readable { connection: usize, side: Side },
    /// One side of a connection may write again.
    Writable { connection: usize, side: Side },
    /// One side of a connection has output, and its turn ends.
    Flush { connection: usize, side: Side },
    /// A handler has finished.
    Answer {
        acceptor: usize,
        session: u32,
        message: u64,
    },
    /// A deadline of an acceptor's link has passed.
    Tick { acceptor: usize },
    /// An acceptor that does not read sends a heartbeat.
    SendHeartbeat { acceptor: usize },
    /// An acceptor drops a session that has expired.
    DropSession { acceptor: usize },
    /// An acceptor that has sent goodbye closes.
    CloseAfterGoodbye { connection: usize },
    /// Everything has been idle for a while.
    Settled,
    /// The stall or silence of a connection ends.
    EndDisturbance { connection: usize },
}

#[derive(Debug, PartialEq, Eq)]
struct Scheduled {
    at: Millis,
    /// The number of the event: of two at the same time the first one scheduled takes place first.
    number: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap returns the greatest, which must be the earliest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The time, and the scheduled events.
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

    /// Schedules an event; at once when its time has passed.
    pub(super) fn schedule(&mut self, at: Millis, event: Event) {
        self.number += 1;
        self.scheduled.push(Scheduled {
            at: at.max(self.now),
            number: self.number,
            event,
        });
    }

    /// Advances to the next event.
    pub(super) fn next(&mut self) -> Option<Event> {
        let Scheduled { at, event, .. } = self.scheduled.pop()?;
        self.now = at;
        Some(event)
    }
}
