//! What calls between nodes promise, over real connections, one module for each kind of promise.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/gate.rs"]
mod gate;
#[path = "../common/handler.rs"]
mod handler;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/recorder.rs"]
mod recorder;
#[path = "../common/start.rs"]
mod start;
#[path = "../common/together.rs"]
mod together;

mod absent_nodes;
mod addresses;
mod back_pressure;
mod channels;
mod disabled_nodes;
mod keyed_services;
mod leaving;
mod listening;
mod lost_connections;
mod many_calls;
mod map_files;
mod moved_nodes;
mod order;
mod payload_sizes;
mod proxies;
mod registering;
mod silent_peers;
mod stopping;
mod support;
mod unreachable_nodes;
