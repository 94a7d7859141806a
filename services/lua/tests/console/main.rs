//! What the debug console promises. Each test runs a node with the services of `docs/examples/console`; plain sockets
//! are the clients.

mod bad_input;
mod chapter;
mod commands;
mod debugger;
#[path = "../common/node.rs"]
#[expect(dead_code, reason = "the tests of this folder need only a part of it")]
mod node;
mod skynet;
mod support;
