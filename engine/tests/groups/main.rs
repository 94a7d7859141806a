//! Several nodes behind one name: the member that gets a message, the messages that move when a member fails, and the
//! cost of that for a call. One module for each kind of promise.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/events.rs"]
mod events;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/start.rs"]
mod start;

mod failing;
mod policies;
mod reloads;
mod support;
mod switching;
