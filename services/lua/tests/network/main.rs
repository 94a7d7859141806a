//! What services in Lua can rely on in sockets and in the library beside the core. Each test runs a node with services in
//! Lua; plain sockets are the peers.

mod channels;
mod crypt;
mod gates;
mod modules;
#[path = "../common/node.rs"]
mod node;
mod sharing;
mod sockets;
mod support;
