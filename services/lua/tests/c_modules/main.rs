//! What happens with modules in C: each test builds some with the C compiler, and a service requires them.

mod compiler;
mod documents;
#[path = "../common/node.rs"]
mod node;
mod refusals;
