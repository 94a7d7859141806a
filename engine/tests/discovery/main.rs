//! Sources of the cluster map that change while nodes run, one module for each source.

#[path = "../common/node.rs"]
mod node;
#[path = "../common/start.rs"]
mod start;

mod config;
mod dns;
mod etcd;
mod etcd_access;
mod etcd_server;
mod file_watch;
mod hostile_etcd;
mod load;
mod support;
