//! The default runtime: an executor, its timers and its sockets on one io_uring per thread.
//!
//! - **A shard that has work does not sleep**: it announces its sleep, looks once more, and only then waits
//!   ([`executor`]).
//! - **One system call to wait, none to look**: between two passes over the tasks the executor sees whether
//!   the kernel has anything, and enters it only then, or when it has nothing left to do ([`ring`]).

mod executor;
mod operations;
mod ring;
mod stream;
mod timers;
mod watched;

pub(super) use executor::{prepare, relax, run, spawn, watch};
pub(super) use stream::Stream;
pub(super) use timers::Sleep;
pub(super) use watched::Watched;
