//! What watches, supervisors and stops promise, one module for each kind of promise.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/handler.rs"]
mod handler;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/start.rs"]
mod start;

mod config;
mod leftovers;
mod mortal;
mod remote;
mod restarts;
mod stopping;
mod watches;
