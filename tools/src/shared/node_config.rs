//! Loads the config of a node, for `run` to start and `check` to describe.

use std::path::{Path, PathBuf};

use skyring::config::{ConfigError, NodeConfig};
use skyring::{ClusterMap, Kinds};
use skyring_lua::First;

/// Why a config is invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeConfigError {
    /// The file cannot be read, or a value is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key names a service that this program does not have.
    #[error("{file}: {key}: there is no service kind \"{kind}\": this program has {known}{hint}", file = .file.display())]
    Kind {
        /// The config.
        file: PathBuf,
        /// The key, `start` or `services.NAME`.
        key: String,
        /// The kind that it names.
        kind: String,
        /// The kinds that this program has.
        known: String,
        /// An addition to the message, or nothing.
        hint: String,
    },
}

/// The kinds of services that this program has.
pub(crate) fn kinds() -> Kinds {
    skyring_lua::add_kinds(skyring_services::kinds())
}

/// Loads a config and the map that it names, and checks that this program has its kinds of services.
pub(crate) fn load_node(path: &Path) -> Result<(NodeConfig, Option<ClusterMap>), NodeConfigError> {
    let (config, map) = NodeConfig::load_with_map(path)?;
    check_kinds(&config)?;
    Ok((config, map))
}

/// Checks that this program has every kind of service that the config starts.
///
/// The engine checks that too, but only after it has started the services that come before.
pub(crate) fn check_kinds(config: &NodeConfig) -> Result<(), NodeConfigError> {
    let kinds = kinds();
    let services = config.services.iter();
    let named = services.map(|(name, service)| (format!("services.{name}"), service.kind.as_str()));
    for (key, kind) in named {
        if !kinds.names().any(|known| known == kind) {
            let known: Vec<&str> = kinds.names().collect();
            return Err(NodeConfigError::Kind {
                file: config.file.clone(),
                key,
                kind: kind.to_owned(),
                known: known.join(", "),
                hint: String::new(),
            });
        }
    }
    if let First::Missing(files) = skyring_lua::first_service(config, &kinds) {
        let kind = config
            .start
            .as_deref()
            .and_then(|start| start.split_whitespace().next());
        let known: Vec<&str> = kinds.names().collect();
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        return Err(NodeConfigError::Kind {
            file: config.file.clone(),
            key: "start".to_owned(),
            kind: kind.unwrap_or("main").to_owned(),
            known: known.join(", "),
            hint: format!(", and as a service in Lua there is no {}", files.join(", ")),
        });
    }
    Ok(())
}
