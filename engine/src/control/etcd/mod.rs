//! etcd as a source of the cluster map: each node publishes its entry under a lease, and watches those of all.
//!
//! - `registry`: what etcd says, and what it changes; without I/O;
//! - `entry`: the key and the value of a node;
//! - `wire`: requests and answers of etcd's JSON gateway;
//! - `client`: HTTP;
//! - `task`: the sessions with the servers.

mod client;
mod entry;
mod registry;
#[cfg(test)]
mod registry_tests;
mod task;
mod wire;

pub(crate) use entry::NodeValue;
pub(crate) use task::{Publication, run};
