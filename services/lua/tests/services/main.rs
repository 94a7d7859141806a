//! What services in Lua are promised: each file is a promise, each test runs a node with services in Lua.

mod answers;
mod coroutines;
mod errors;
mod limits;
mod messages;
mod nodes;
mod support;
