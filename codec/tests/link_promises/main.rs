//! What the sans-I/O link promises in both dialects, one module for each kind of promise. See the module
//! documentation of `skyring_codec::link`.

mod deadlines;
mod disconnect;
mod edges;
mod golden;
mod handshake;
mod heartbeat;
mod hostile;
mod limits;
mod names;
mod native_hostile;
mod proof;
mod properties;
mod release;
mod resume;
mod resume_acks;
mod support;
mod tls;
mod traces;
mod waiting;

#[path = "../hex/mod.rs"]
mod hex;
