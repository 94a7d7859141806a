//! A runtime for tests: one thread, no kernel, and time that passes when the test says so.
//!
//! The test's thread stands for several threads, each of which is a *place*: it has its own tasks, clock and random
//! numbers. Tasks run when the test has their place [pass](pass); sleeps end when the test [lets time pass](set_time);
//! connections lead to the test itself, which holds the other end of each ([`dials`], [`Remote`]), and gives listeners
//! the connections that they accept ([`incoming`]). A component test has one place and need not know of it: [`run`] and
//! [`advance`] are all that it uses.
//!
//! Invariants: nothing happens between two calls of the test, so a test says exactly what happens in which order; and
//! nothing here depends on the kernel's clock, on its random numbers or on addresses in memory, so the same calls give
//! the same run.

mod executor;
mod listener;
mod network;
mod place;

pub(in crate::rt) use executor::{Sleep, relax, spawn, watch};
pub(crate) use executor::{
    add_place, enter, is_runnable, leave, next_wake, pass, remove_place, reset, set_clock_rate, set_time,
    time, within,
};
#[cfg(test)]
pub(crate) use executor::{advance, run};
pub(in crate::rt) use listener::Listener;
pub(crate) use listener::incoming;
pub(crate) use network::{Dial, Remote, Socket, Stream, dials, touched};
pub(crate) use place::PlaceId;

use std::time::{Duration, Instant};

/// The moment at the place that runs. Each look makes it a little later, until the pass ends, so that work that is bounded
/// in time ends: nothing else takes time within a pass.
pub(in crate::rt) fn now() -> Instant {
    executor::look_at_clock()
}

/// The time of the place that runs, since its clock was started.
pub(crate) fn local_time() -> Duration {
    executor::with_place(|place, time| place.clock.local(time))
}

/// The next random number of the place that runs.
pub(in crate::rt) fn random_number() -> u64 {
    executor::with_place(|place, _| place.random.next())
}
