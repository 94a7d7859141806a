//! The failure detector: nodes detect that another is gone, report why, fail calls to it at once, and find it again
//! by themselves. One module for each kind of promise.

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

mod changes;
mod half_open;
mod monitors;
mod storms;
mod watching;
mod when_down;
