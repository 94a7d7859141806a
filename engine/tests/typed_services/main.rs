//! Typed services: where their clients call from, what wrong calls are told, the errors of methods, and the interfaces
//! that can be asked for. One module for each kind of promise.

#[path = "../common/node.rs"]
mod node;
#[path = "../common/start.rs"]
mod start;

mod arguments;
mod counter;
mod errors;
mod interfaces;
mod marks;
mod places;
mod support;
mod versions;
