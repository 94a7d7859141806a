//! Loads the config of a node, for `run` to start and `check` to describe.

use std::path::{Path, PathBuf};

use skyring::config::{ConfigError, NodeConfig};
use skyring::{ClusterMap, Error, Kinds};
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
    /// The arguments of a service are wrong.
    #[error("{file}: services.{name}: {error}", file = .file.display())]
    Arguments {
        /// The config.
        file: PathBuf,
        /// The service.
        name: String,
        /// What it says of them.
        error: Error,
    },
    /// The service in Lua that is to take the log lines has no file.
    #[error("{file}: logger: with logservice = \"snlua\" it names a service in Lua, and there is no {files}", file = .file.display())]
    LogService {
        /// The config.
        file: PathBuf,
        /// The files that were tried.
        files: String,
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

/// Checks that this program has every kind of service that the config starts, and the arguments of its services.
///
/// The engine checks that too, but only after it has started the services that come before.
pub(crate) fn check_kinds(config: &NodeConfig) -> Result<(), NodeConfigError> {
    let kinds = kinds();
    let unknown = |key: &str, kind: &str, hint: String| NodeConfigError::Kind {
        file: config.file.clone(),
        key: key.to_owned(),
        kind: kind.to_owned(),
        known: kinds.names().collect::<Vec<_>>().join(", "),
        hint,
    };
    let is_known = |kind: &str| kinds.names().any(|known| known == kind);
    for (name, service) in &config.services {
        if !is_known(&service.kind) {
            let key = format!("services.{name}");
            return Err(unknown(&key, &service.kind, String::new()));
        }
        kinds
            .check(&service.kind, &service.arguments)
            .map_err(|error| NodeConfigError::Arguments {
                file: config.file.clone(),
                name: name.clone(),
                error,
            })?;
    }
    if let Some(service) = &config.log_service {
        if !is_known(&service.kind) {
            let hint = format!("{NO_SERVICES_IN_C}; {LOG_CHOICES}");
            return Err(unknown("logservice", &service.kind, hint));
        }
        if service.kind == LUA_KIND {
            check_log_file(config, &service.arguments)?;
        }
    }
    let bootstrap = first_word(&config.bootstrap);
    if !is_known(bootstrap) {
        return Err(unknown("bootstrap", bootstrap, NO_SERVICES_IN_C.to_owned()));
    }
    if let First::Missing(files) = skyring_lua::first_service(config, &kinds) {
        let kind = config.start.as_deref().map_or("main", first_word);
        let hint = format!(", and as a service in Lua there is no {}", listed(&files));
        return Err(unknown("start", kind, hint));
    }
    Ok(())
}

/// The kind of services in Lua.
const LUA_KIND: &str = "snlua";

/// Why a kind that Skynet has is unknown here.
const NO_SERVICES_IN_C: &str = "; services in C (cpath) are no part of this engine";

/// What can take the log lines instead.
const LOG_CHOICES: &str = "log to a file with logger = \"FILE\", or to a service in Lua with logservice = \"snlua\" and \
                           logger = \"NAME\"";

/// Checks that the service in Lua that takes the log lines has a file.
fn check_log_file(config: &NodeConfig, arguments: &str) -> Result<(), NodeConfigError> {
    let files = skyring_lua::service_files(config, first_word(arguments));
    if files.iter().any(|file| file.exists()) {
        return Ok(());
    }
    Err(NodeConfigError::LogService {
        file: config.file.clone(),
        files: listed(&files),
    })
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

fn listed(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(", ")
}
