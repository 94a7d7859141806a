//! A runtime for tests: one thread, no kernel, and time that passes when the test says so.
//!
//! Tasks run when the test [runs](run) them; sleeps end when the test [lets time pass](advance); connections lead to the
//! test itself, which holds the other end of each ([`connections`]).
//!
//! Invariant: nothing happens between two calls of the test, so a test says exactly what happens in which order.

mod executor;
mod network;

pub(in crate::rt) use executor::{Sleep, relax, spawn};
pub(crate) use executor::{advance, enter, now_ms, run};
pub(crate) use network::{Dial, Remote, Stream, dials};
