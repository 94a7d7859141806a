//! etcd as a source of the cluster map: each node publishes its entry under a lease, and watches those of all.
//!
//! - `wire`: requests and answers of etcd's JSON gateway;
//! - `client`: HTTP;
//! - `task`: the sessions with the servers.

mod client;
mod task;
pub(super) mod wire;

pub(super) use client::Client;
pub(crate) use task::{Publication, run};
