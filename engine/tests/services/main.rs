//! What services and their context promise on one node, one module for each kind of promise.

#[path = "../common/gate.rs"]
mod gate;
#[path = "../common/handler.rs"]
mod handler;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/recorder.rs"]
mod recorder;
#[path = "../common/start.rs"]
mod start;
#[path = "../common/together.rs"]
mod together;

mod answers;
mod bounds;
mod chains;
mod deadlines;
mod exits;
mod launches;
mod log_services;
mod names;
mod order;
mod panics;
mod placement;
mod posting;
mod sleeps;
mod state;
