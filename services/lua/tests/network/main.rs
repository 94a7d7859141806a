//! What services in Lua are promised of sockets and of the library beside the core: each file is a promise, each
//! test runs a node with services in Lua, and plain sockets at the other end.

mod channels;
mod crypt;
mod gates;
mod sharing;
mod sockets;
mod support;
