//! The core: what the rooms of a shard share. The clock, timers, waiters and names, the messages, and the [`Router`]
//! through which a room sends a message without depending on its receiver.
//!
//! The service, cluster and socket rooms depend on this room, and neither on each other nor on the shard. Each holds
//! a reference to the shard's [`ShardCore`], whose last field is the router: the shard itself, or the recorder of the
//! component tests. So shared state is a plain field, and only what leaves a room is a virtual call.
//!
//! Invariants: everything in a [`ShardCore`] belongs to one thread; no `RefCell` of it stays borrowed while other
//! code runs (handlers, wakers, jobs).

pub(crate) mod activity;
pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod discovered;
pub(crate) mod envelope;
pub(crate) mod external;
pub(crate) mod fairness;
pub(crate) mod finished_spans;
pub(crate) mod handle;
pub(crate) mod injector;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod payload;
pub mod placement;
#[cfg(test)]
pub(crate) mod recorder;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod settings;
mod shard_core;
pub(crate) mod slab;
pub(crate) mod socket_event;
pub(crate) mod spans;
#[cfg(feature = "testing")]
pub(crate) mod tap;
pub(crate) mod timers;
pub(crate) mod trace_state;
pub(crate) mod trace_tag;
mod tracing;
pub(crate) mod versioned;
pub(crate) mod waiters;
mod waiting;

pub(crate) use router::Router;
pub(crate) use shard_core::ShardCore;
