//! A node of an example, in the allocator of the program.

mod allocator;

use std::error::Error;
use std::path::Path;

use skyring::config::NodeConfig;
use skyring::log::Destination;
use skyring::{Kinds, Node, NodeBuilder};

/// Starts a node with this config. It logs to a file, or where the config says.
pub(crate) fn start(config: &Path, log: Option<&Path>) -> Result<Node, Box<dyn Error>> {
    skyring_lua::set_memory_release(allocator::release);
    let (config, map) = NodeConfig::load_with_map(config)?;
    let bootstrap = config.bootstrap.clone();
    let mut builder = NodeBuilder::from_config(config, map)
        .kinds(skyring_lua::add_kinds(Kinds::default()))
        .first_service(&bootstrap);
    if let Some(log) = log {
        builder = builder.log_to(Destination::File(log.to_owned()));
    }
    Ok(builder.start()?)
}
