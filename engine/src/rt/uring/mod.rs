//! The default runtime: an executor, its timers and its sockets on one io_uring per thread.
//!
//! - **A shard that has work does not sleep**: it announces its sleep, looks once more, and only then waits
//!   ([`executor`]).
//! - **One system call a pass**: the entry into the kernel that waits also submits what is to be sent and takes what was
//!   received; between two passes the executor sees whether the kernel has anything, and enters it only then ([`ring`]).
//! - **Memory belongs to one side at a time**: the kernel receives into buffers of the ring ([`receiving`]), and reads
//!   what is sent before the entry that sends it returns ([`sending`]). [`operations`] has the argument, [`sources`] the
//!   life of a descriptor.
//! - **No descriptor where the ring can do without**: streams in great number have slots of the ring's own table ([`direct`]).

mod direct;
mod executor;
mod marks;
mod operations;
mod provided;
mod receiving;
mod ring;
mod sending;
mod sources;
mod stream;
#[cfg(test)]
mod tests;
mod timers;
mod watched;

pub(super) use executor::{prepare, relax, run, spawn, watch};
pub(super) use receiving::RECEIVED_BYTES_MAX;
pub(super) use stream::Stream;
pub(super) use timers::Sleep;
pub(super) use watched::Watched;
