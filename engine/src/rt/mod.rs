//! The runtime: executors on io_uring, their tasks, timers, doorbells and sockets.
//!
//! This is the only room that names glommio. What it keeps away from the rest of the engine:
//!
//! - **No waker is ever woken from another thread.** A shard is woken through its [`doorbell`].
//! - **Nothing is put on glommio's latency ring** except its own timers: a completion there can send
//!   the executor to sleep with work to do. Hence connecting waits for writability instead of using the
//!   executor's connect, and accepting is done by a thread of its own ([`listener`]).
//! - **A busy task must [`relax`] now and then**: while any task is runnable the executor sees no I/O.
//! - **A lost sleep ends by itself** at the next [`guard`] tick, and is counted.

pub(crate) mod cpus;
pub(crate) mod doorbell;
pub(crate) mod executor;
#[cfg(feature = "floor")]
pub mod floor;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod notify;
pub(crate) mod stream;
pub(crate) mod sys;
pub(crate) mod timer;

pub(crate) use executor::spawn;
pub(crate) use timer::{relax, sleep};
