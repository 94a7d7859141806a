//! The timers of a shard: what each is for, and the wheel that they wait in.

use std::cell::{Cell, RefCell};

use skyring_codec::Millis;
use skyring_codec::wheel::{TimerKey, TimerWheel};

use crate::core::handle::Handle;
use crate::core::slab::Key;
use crate::rt::notify::Notify;

/// What a timer of the shard is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Ends a sleep, or the time of a call.
    Waiter(Key),
    /// A channel to a peer has a deadline to look at.
    Channel(Key),
    /// An accepted connection has something to do.
    Inbound(Key),
    /// A call that waits for its node has run out of time.
    PendingRequest(Key),
    /// Calls that have waited for their node go on their way.
    Drain,
    /// A node may have been away for too long.
    Detector,
    /// A call to a group is to be sent to a second member.
    Hedge(Key),
    /// A service asked to be woken; see `service::posting`.
    Service(Handle, u32),
}

/// The timers of one shard. Whoever drives them waits on `changed` and sleeps until `next_deadline`.
pub(crate) struct Timers {
    wheel: RefCell<TimerWheel<Timer>>,
    /// What the driver sleeps until.
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

    /// Cancels a timer; one that has gone off is no error.
    #[inline]
    pub(crate) fn cancel(&self, key: TimerKey) {
        self.wheel.borrow_mut().cancel(key);
    }

    /// One timer whose time has come. To be asked until there is none.
    pub(crate) fn poll(&self, now: Millis) -> Option<Timer> {
        self.wheel.borrow_mut().poll(now)
    }

    /// When the next one goes off. The driver sleeps until then.
    pub(crate) fn arm(&self) -> Option<Millis> {
        let next = self.wheel.borrow().next_deadline();
        self.armed.set(next.unwrap_or(Millis::MAX));
        next
    }
}
