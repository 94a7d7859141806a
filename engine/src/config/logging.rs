//! Where log lines go, in which form, and which: `logger`, `logservice`, `log_time`, `log_format` and `log_levels`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{ConfigError, ConfigErrorKind, listed, quoted};
use super::evaluate::Value;
use super::keys::Keys;
use super::service::{RestartConfig, ServiceConfig};

/// The log service that is built in: a file or the standard output.
const BUILT_IN: &str = "logger";

/// The time in front of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogTime {
    /// No time.
    #[default]
    None,
    /// As Skynet writes it into a file: `25/11/26 13:40:12.34`, local time.
    Skynet,
    /// `2026-11-25T13:40:12.345Z`.
    Utc,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As Skynet writes them.
    #[default]
    Skynet,
    /// After the time, the level and the source.
    Time,
    /// Each an object of JSON.
    Json,
}

/// The part of a node that a log line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogSource {
    /// The node itself.
    Node,
    /// Connections to other nodes, and their states.
    Cluster,
    /// The sources of the cluster map.
    Discovery,
    /// Services.
    Service,
}

impl LogSource {
    const ALL: [(&'static str, LogSource); 4] = [
        ("cluster", LogSource::Cluster),
        ("discovery", LogSource::Discovery),
        ("node", LogSource::Node),
        ("service", LogSource::Service),
    ];
}

/// Down to which level lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// None.
    Off,
    /// Only errors.
    Error,
    /// Warnings too.
    Warning,
    /// What happens in the order of things too.
    Info,
    /// What only matters to whoever looks for a mistake too.
    Debug,
}

impl LogLevel {
    const ALL: [(&'static str, LogLevel); 5] = [
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warning", LogLevel::Warning),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];
}

/// What a config says of the log.
pub(super) struct Log {
    /// The file; `None` is the standard output, or a service takes the lines.
    pub(super) file: Option<PathBuf>,
    /// The service that takes the lines.
    pub(super) service: Option<ServiceConfig>,
    pub(super) time: LogTime,
    pub(super) format: LogFormat,
    pub(super) levels: BTreeMap<LogSource, LogLevel>,
}

pub(super) fn read(keys: &Keys<'_>) -> Result<Log, ConfigError> {
    let unsupported = |key, text| ConfigError::of_key(keys.path, key, ConfigErrorKind::Unsupported(text));
    let kind = keys.text("logservice")?.filter(|kind| kind != BUILT_IN);
    let service = match kind {
        None => None,
        Some(kind) => {
            let arguments = keys.text("logger")?.unwrap_or_default();
            if kind == "snlua" && arguments.is_empty() {
                let hint = "\"snlua\" needs logger = \"NAME\", the service in Lua that takes the lines";
                return Err(unsupported("logservice", hint));
            }
            Some(ServiceConfig {
                kind,
                arguments,
                keyed: false,
                restart: RestartConfig::default(),
            })
        }
    };
    let file = match service {
        Some(_) => None,
        None => keys.path("logger")?,
    };
    let format = match keys.text("log_format")?.as_deref() {
        None | Some("skynet") => LogFormat::Skynet,
        Some(_) if service.is_some() => {
            let hint =
                "has no effect with a log service, which writes the lines itself; remove one of the two keys";
            return Err(unsupported("log_format", hint));
        }
        Some("time") => LogFormat::Time,
        Some("json") => LogFormat::Json,
        Some(_) => {
            return Err(unsupported(
                "log_format",
                "not known; it is \"skynet\", \"time\" or \"json\"",
            ));
        }
    };
    let time = match keys.text("log_time")?.as_deref() {
        Some(_) if format == LogFormat::Json => {
            let hint = "has no effect with log_format = \"json\", whose times are UTC; remove this key";
            return Err(unsupported("log_time", hint));
        }
        Some("none") if format == LogFormat::Time => {
            let hint = "contradicts log_format = \"time\"; remove one of the two keys";
            return Err(unsupported("log_time", hint));
        }
        None if format == LogFormat::Time => LogTime::Utc,
        None if file.is_some() => LogTime::Skynet,
        None | Some("none") => LogTime::None,
        Some(_) if service.is_some() => {
            let hint =
                "has no effect with a log service, which writes the lines itself; remove one of the two keys";
            return Err(unsupported("log_time", hint));
        }
        Some("skynet") => LogTime::Skynet,
        Some("utc") => LogTime::Utc,
        Some(_) => {
            return Err(unsupported(
                "log_time",
                "not known; it is \"none\", \"skynet\" or \"utc\"",
            ));
        }
    };
    Ok(Log {
        file,
        service,
        time,
        format,
        levels: levels(keys)?,
    })
}

/// The table `log_levels`.
fn levels(keys: &Keys<'_>) -> Result<BTreeMap<LogSource, LogLevel>, ConfigError> {
    const KEY: &str = "log_levels";
    let expected = "{ cluster = \"debug\" }, a level for each source";
    let table = match keys.entries.get(KEY) {
        None => return Ok(BTreeMap::new()),
        Some(Value::Table(table)) => table,
        Some(found) => return Err(ConfigError::wrong_value(keys.path, KEY, expected, found)),
    };
    let mut levels = BTreeMap::new();
    for (name, value) in table {
        let key = format!("{KEY}.{name}");
        let source = LogSource::ALL.iter().find(|(known, _)| known == name);
        let Some((_, source)) = source else {
            let known = listed(LogSource::ALL.iter().map(|(known, _)| *known));
            let text = format!(
                "there is no source {} of log lines; there are {known}",
                quoted(name)
            );
            return Err(ConfigError::of_key(
                keys.path,
                KEY,
                ConfigErrorKind::Security(text),
            ));
        };
        let level = match value {
            Value::Text(text) => LogLevel::ALL.iter().find(|(known, _)| known == text),
            _ => None,
        };
        let Some((_, level)) = level else {
            let expected = "\"off\", \"error\", \"warning\", \"info\" or \"debug\"";
            return Err(ConfigError::wrong_value(keys.path, &key, expected, value));
        };
        levels.insert(*source, *level);
    }
    Ok(levels)
}
