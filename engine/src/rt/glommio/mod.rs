//! The other runtime: glommio's executor, for those who know it and for kernels older than 6.1.
//!
//! What this folder keeps away from the rest of the engine (glommio 0.9):
//!
//! - **The executor can sleep with runnable tasks** when something completes on its latency ring at the wrong moment.
//!   So nothing is put there but its own timers, the preempt timer is set so far away that it never expires, and
//!   connecting waits for writability instead of using the executor's connect.
//! - **No waker of the executor is woken on another thread.** Tasks have a waker of this folder ([`tasks`]), which
//!   carries a wake-up from elsewhere to its thread through the shard's doorbell.
//! - **While a task is runnable the executor sees no I/O**: [`relax`] leaves the run queue with a short timer.
//! - **It has no wait for readiness** of anything but streams: other descriptors are watched by a thread with epoll
//!   ([`poller`]).
//! - A lost sleep ends at the next [`guard`](super::guard) tick, and is counted.

mod executor;
mod poller;
mod stream;
mod tasks;
mod watched;

pub(super) use executor::{Sleep, prepare, relax, run};
pub(super) use stream::Stream;
pub(super) use tasks::{spawn, watch};
pub(super) use watched::Watched;
