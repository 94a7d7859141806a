//! Broken connections between two nodes lose nothing and repeat nothing.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/cutter.rs"]
mod cutter;
#[path = "../common/gate.rs"]
mod gate;
#[path = "../common/handler.rs"]
mod handler;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/start.rs"]
mod start;

mod bounds;
mod cuts;
mod ledger;
mod restarts;
