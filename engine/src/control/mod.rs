//! The control thread: one thread with a runtime of tokio, for clients and servers that are no part of the data path.
//!
//! It is started only when a setting needs it. Its tasks change the node in two ways: they hand a [`Discovered`] to the
//! first shard, which applies it as a reload, and have its certificates read again. Invariants: no shard waits for this thread; a task that panics is logged
//! and ends, and the node and the other tasks go on; the thread ends with the node.

pub(crate) mod admin;
pub(crate) mod certificate_watch;
pub(crate) mod directory;
pub(crate) mod dns;
pub(crate) mod entry;
pub(crate) mod etcd;
pub(crate) mod file_watch;
pub(crate) mod fuzzing;
mod http;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
mod registry;
#[cfg(test)]
mod registry_tests;
mod thread;

pub(crate) use thread::{ControlThread, Outlet, Task};

#[cfg(doc)]
use crate::core::discovered::Discovered;
