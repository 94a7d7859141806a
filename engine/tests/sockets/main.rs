//! What sockets of services promise, with real sockets at the other end: one module for each kind of promise.

#[path = "../common/node.rs"]
mod node;
mod plug;
#[path = "../common/start.rs"]
mod start;

mod bounds;
mod carrying;
mod ending;
mod opening;
mod udp;
