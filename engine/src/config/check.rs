//! What kind of file is this, and is it right?

use std::path::Path;

use super::error::ConfigError;
use super::evaluate::{self, Variables};
use super::map::ClusterMap;
use super::node::{self, NodeConfig};
use super::source;

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// A node config, and the cluster map it names, if any.
    Node(Box<NodeConfig>, Option<ClusterMap>),
    /// A cluster map, and one line for each thing in it that has no effect.
    Map(ClusterMap, Vec<String>),
}

/// Tells whether a file is a node config or a cluster map, and checks it as what it is.
///
/// A file is a node config if it sets at least one key that node configs have (`thread`, `start`, `cluster`,
/// `open`, `services`, …) to something that is neither an address nor `false`. Everything else is a map: so a map
/// may have a node named `start`, and a lone `db = 7102` is a map with a wrong value. An empty file is a map
/// without nodes. A file that only makes sense with `$NAME` replaced is a node config, since maps have no
/// replacement.
///
/// # Errors
/// What [`NodeConfig::load`] or [`ClusterMap::load`] has to say about the file.
pub fn check(path: &Path) -> Result<Checked, ConfigError> {
    let text = source::read(path)?;
    let may_replace = text.contains(&b'$');
    match evaluate::evaluate(path, text, Variables::Plain) {
        Ok(entries) if node::is_map(&entries) => {
            let map = ClusterMap::from_entries(path, &entries)?;
            let warnings = map.warnings();
            Ok(Checked::Map(map, warnings))
        }
        Err(error) if !may_replace => Err(error),
        _ => NodeConfig::load_with_map(path).map(|(config, map)| Checked::Node(Box::new(config), map)),
    }
}
