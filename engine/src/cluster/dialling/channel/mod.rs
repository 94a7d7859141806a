//! The dialling side of a channel to a peer.
//!
//! One task per channel connects when there is something to send, reads replies until the connection breaks, and
//! reconnects, with growing pauses, for as long as there are requests. There is one attempt to connect at a time.
//! Unsent requests wait for the next connection in order. Unanswered requests do so too when the peer keeps a session
//! for the channel; otherwise they fail when the connection breaks.

mod backlog;
mod connecting;
mod events;
mod failure;
mod figures;
mod idle;
mod lifecycle;
mod overflow;
mod requests;
mod serving;
mod state;
mod token;
mod watching;

pub use connecting::MOVE_TIME_MS_MAX;
pub(in crate::cluster) use failure::Failure;
pub(in crate::cluster) use state::Channel;
