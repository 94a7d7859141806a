//! A node: one process's shards, started from a config or from code, and stopped in order.

mod builder;
mod discovery;
mod error;
mod log_service;
mod log_style;
mod observers;
mod running;
mod services;
mod status;

pub use builder::NodeBuilder;
pub use error::StartError;
pub use running::Node;
