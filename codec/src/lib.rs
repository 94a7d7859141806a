//! Bytes to messages and back: lua-seri values, the skynet and the native dialect, and the sans-I/O link.
//!
//! Nothing here knows a socket, a clock, a thread or an executor: bytes and `now` go in, bytes,
//! events and the next deadline come out. Every decoder takes hostile input: it returns an error,
//! never panics, and never reserves memory because of a length that a peer merely declared.

mod chunks;
pub mod link;
pub mod native;
pub mod outbuffer;
pub mod retain;
pub mod seri;
pub mod skynet;
pub mod wheel;

/// Milliseconds on the monotonic clock of whoever drives this crate; only differences mean anything.
pub type Millis = u64;
