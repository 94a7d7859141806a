//! The `discovery` of a node config: where changes of the cluster map come from while the node runs.

use std::path::Path;

use super::error::{ConfigError, ConfigErrorKind};
use super::evaluate::Value;

/// What stands in `discovery`.
const EXPECTED: &str = "a table, as in { watch = true }";

/// Where changes of the cluster map come from while the node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `watch`: the map file is watched, and applied when it changes.
    pub watch: bool,
}

impl Discovery {
    /// Reads the key of a config; `None` = it is not set.
    pub(super) fn read(path: &Path, value: Option<&Value>) -> Result<Option<Discovery>, ConfigError> {
        let entries = match value {
            None => return Ok(None),
            Some(Value::Table(entries)) => entries,
            Some(found) => return Err(ConfigError::wrong_value(path, "discovery", EXPECTED, found)),
        };
        let mut discovery = Discovery::default();
        for (name, value) in entries {
            let key = format!("discovery.{name}");
            match (name.as_str(), value) {
                ("watch", Value::Boolean(watch)) => discovery.watch = *watch,
                ("watch", found) => {
                    return Err(ConfigError::wrong_value(path, &key, "true or false", found));
                }
                _ => {
                    let hint = "not known; discovery has watch";
                    return Err(ConfigError::of_key(
                        path,
                        &key,
                        ConfigErrorKind::Unsupported(hint),
                    ));
                }
            }
        }
        Ok(Some(discovery))
    }

    /// Checks it against the rest of the config.
    pub(super) fn check(&self, path: &Path, has_map: bool) -> Result<(), ConfigError> {
        if self.watch && !has_map {
            return Err(ConfigError::of_key(
                path,
                "discovery.watch",
                ConfigErrorKind::MapNotNamed,
            ));
        }
        Ok(())
    }
}
