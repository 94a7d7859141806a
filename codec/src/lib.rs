//! Bytes to messages and back: lua-seri values, the skynet and the native dialect, and the sans-I/O link.
//!
//! Nothing here knows a socket, a clock, a thread or an executor: bytes and `now` go in, bytes,
//! events and the next deadline come out. Every decoder takes hostile input: it returns an error,
//! never panics, and never reserves memory because of a length that a peer merely declared.

#[cfg(any(test, feature = "faults"))]
pub mod faults;

/// Whether a deliberate bug is switched on: never, and at no cost, but in this crate's own tests and with its
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

// The simulator's modules, which name this crate, run here too: against its faults.
#[cfg(test)]
extern crate self as skyring_codec;
#[cfg(test)]
#[path = "../tests/simulator/simulation/mod.rs"]
mod simulation;
