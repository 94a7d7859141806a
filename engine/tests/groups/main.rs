//! Several nodes behind one name: who gets what, what moves when one of them goes, and what a call may cost then.
//! One module for each kind of promise.

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
