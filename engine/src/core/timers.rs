//! The timers of a shard: the kinds of timers, and the wheel that holds them.

use std::cell::{Cell, RefCell};

use skyring_codec::Millis;
use skyring_codec::wheel::{TimerKey, TimerWheel};

use crate::core::handle::Handle;
use crate::core::slab::Key;
use crate::rt::notify::Notify;

/// The kinds of timers of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The end of a sleep, or the deadline of a call.
    Waiter(Key),
    /// A deadline of a channel to a peer.
    Channel(Key),
    /// A deadline of an inbound connection.
    Inbound(Key),
    /// The deadline of a pending request.
    PendingRequest(Key),
    /// The next step of the drain of pending requests.
    Drain,
    /// The time after which a node may be down.
    Detector,
    /// The time to send a call to a group to a second member.
    Hedge(Key),
    /// A wake-up that a service requested; see `service::posting`.
    Service(Handle, u32),
}

/// The timers of one shard. The driver waits on `changed` and sleeps until the deadline of `arm`.
pub(crate) struct Timers {
    wheel: RefCell<TimerWheel<Timer>>,
    /// The time until which the driver sleeps.
    armed: Cell<Millis>,
    pub(crate) changed: Notify,
}

impl Timers {
    pub(crate) fn new(now: Millis) -> Timers {
        Timers {
            wheel: RefCell::new(TimerWheel::new(now)),
            armed: Cell::new(Millis::MAX),
            changed: Notify::default(),
        }
    }

    /// Sets a timer, and wakes the driver if it sleeps for longer.
    #[inline]
    pub(crate) fn set(&self, deadline: Millis, timer: Timer) -> TimerKey {
        let key = self.wheel.borrow_mut().insert(deadline, timer);
        if deadline < self.armed.get() {
            self.armed.set(deadline);
            self.changed.wake();
        }
        key
    }

    /// Cancels a timer; one that has expired is no error.
    #[inline]
    pub(crate) fn cancel(&self, key: TimerKey) {
        self.wheel.borrow_mut().cancel(key);
    }

    /// Removes one timer that has expired. Call it until it returns `None`.
    pub(crate) fn poll(&self, now: Millis) -> Option<Timer> {
        self.wheel.borrow_mut().poll(now)
    }

    /// The deadline of the next timer, until which the driver sleeps.
    pub(crate) fn arm(&self) -> Option<Millis> {
        let next = self.wheel.borrow().next_deadline();
        self.armed.set(next.unwrap_or(Millis::MAX));
        next
    }
}
