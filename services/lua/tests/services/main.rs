//! What services in Lua can rely on: messages, coroutines, answers, errors, limits and calls between nodes. Each test runs a
//! node with services in Lua.

mod answers;
mod coroutines;
mod errors;
mod launches;
mod library;
mod limits;
mod message_logs;
mod messages;
#[path = "../common/node.rs"]
mod node;
mod nodes;
mod snax;
mod support;
mod traces;
