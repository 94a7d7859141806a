//! Peers that mean harm, or are broken: a node keeps serving the others, its memory stays under what
//! [`skyring::limits::memory_bytes_max`] states, and each case is counted, and logged once.
//!
//! The node runs in a process of its own, so that its memory is measured without the peers'.

mod answers;
mod connections;
mod healthy;
mod input;
mod memory;
mod peer;
mod server;
