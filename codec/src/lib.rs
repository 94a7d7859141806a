//! Bytes to messages and back: lua-seri values, the skynet and the native dialect, and the sans-I/O link.
//!
//! This crate has no socket, clock, thread or executor: bytes and `now` go in; bytes, events and the next deadline
//! come out. Every decoder accepts hostile input: it returns an error, never panics, and never reserves memory for a
//! length that a peer only declares.

#[cfg(any(test, feature = "faults"))]
pub mod faults;

/// Whether a deliberate bug is injected. Always false, at no cost, except in the tests of this crate and with its
/// feature `faults`.
macro_rules! fault {
    ($fault:ident) => {{
        #[cfg(any(test, feature = "faults"))]
        let is_injected = crate::faults::is_injected(crate::faults::Fault::$fault);
        #[cfg(not(any(test, feature = "faults")))]
        let is_injected = false;
        is_injected
    }};
}

mod chunks;
mod limits;
pub mod link;
mod millis;
pub mod native;
pub mod outbuffer;
pub mod retain;
pub mod seri;
pub mod skynet;
pub mod wheel;

pub use millis::Millis;

// The simulator, whose modules name this crate, also runs in its unit tests, with faults.
#[cfg(test)]
extern crate self as skyring_codec;
#[cfg(test)]
#[path = "../tests/simulator/simulation/mod.rs"]
mod simulation;
