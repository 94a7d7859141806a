//! A channel to a peer, from the dialling side: the calls that this node makes there.
//!
//! One task per channel connects when there is something to send, reads replies until the connection
//! breaks, and connects again, with growing pauses, as long as anybody waits. There is one connect under
//! way at a time. What was not sent waits for the next connection in its order. What was sent and not
//! answered does so too when the peer keeps a session for the channel, and else fails when the connection
//! breaks.

mod backlog;
mod connecting;
mod events;
mod failure;
mod lifecycle;
mod overflow;
mod requests;
mod serving;
mod state;
mod token;
mod watching;

pub(in crate::cluster) use failure::Failure;
pub(in crate::cluster) use state::Channel;
