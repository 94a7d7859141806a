//! The runtime: executors on io_uring, their tasks, timers, doorbells and sockets.
//!
//! This is the only room that names io_uring. What it promises to the rest of the engine:
//!
//! - **A shard that has work does not sleep**: it announces its sleep, looks once more, and only then waits
//!   ([`executor`]). Other threads wake it through its [`doorbell`]; a waker may be woken on any thread.
//! - **One system call to wait, none to look**: between two passes over the tasks the executor sees whether
//!   the kernel has anything, and enters it only then, or when it has nothing left to do ([`ring`]).
//! - **A busy task must [`relax`] now and then**: a task is not interrupted.
//! - **A lost sleep ends by itself** at the next [`guard`] tick, and is counted.

pub(crate) mod cpus;
pub(crate) mod doorbell;
pub(crate) mod executor;
#[cfg(feature = "floor")]
pub mod floor;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod notify;
mod ring;
pub(crate) mod stream;
pub(crate) mod sys;
pub(crate) mod timer;
pub(crate) mod watched;

pub(crate) use executor::{relax, spawn, watch};
pub(crate) use timer::sleep;
