//! The admin server of a node: what it tells, whom, and within which bounds.

mod http;
#[path = "../common/node.rs"]
mod node;

mod access;
mod bounds;
mod metrics;
mod probes;
mod status;
