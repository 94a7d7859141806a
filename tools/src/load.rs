//! Reads a node's config as `run` starts it and `check` describes it.

use std::path::{Path, PathBuf};

use skyring::config::{ConfigError, NodeConfig};
use skyring::{ClusterMap, Kinds};
use skyring_lua::First;

/// What is wrong with a config.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The file cannot be read, or a value is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key names a service that this program does not have.
    #[error("{file}: {key}: there is no service kind \"{kind}\": this program has {known}{hint}", file = .file.display())]
    Kind {
        /// The config.
        file: PathBuf,
        /// The key, `start` or `services.NAME`.
        key: String,
        /// What it names.
        kind: String,
        /// The kinds there are.
        known: String,
        /// What else to know, or nothing.
        hint: String,
    },
}

/// The kinds of services that this program has.
pub(crate) fn kinds() -> Kinds {
    skyring_lua::add_kinds(skyring_services::kinds())
}

/// Reads a config and the map it names, and checks that its services can be started.
pub(crate) fn node(path: &Path) -> Result<(NodeConfig, Option<ClusterMap>), Fault> {
    let (config, map) = NodeConfig::load_with_map(path)?;
    kinds_known(&config)?;
    Ok((config, map))
}

/// Checks that this program has every kind of service that the config starts.
///
/// The engine would say so too, but only after it has started the services that come before.
pub(crate) fn kinds_known(config: &NodeConfig) -> Result<(), Fault> {
    let kinds = kinds();
    let services = config.services.iter();
    let named = services.map(|(name, service)| (format!("services.{name}"), service.kind.as_str()));
    for (key, kind) in named {
        if !kinds.names().any(|known| known == kind) {
            let known: Vec<&str> = kinds.names().collect();
            return Err(Fault::Kind {
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
        return Err(Fault::Kind {
            file: config.file.clone(),
            key: "start".to_owned(),
            kind: kind.unwrap_or("main").to_owned(),
            known: known.join(", "),
            hint: format!(", and as a service in Lua there is no {}", files.join(", ")),
        });
    }
    Ok(())
}
