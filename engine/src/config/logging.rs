//! Where log lines go, and what stands in front of them: `logger`, `logservice` and `log_time`.

use std::path::PathBuf;

use super::error::{ConfigError, ConfigErrorKind};
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

/// What a config says of the log.
pub(super) struct Log {
    /// The file; `None` is the standard output, or a service takes the lines.
    pub(super) file: Option<PathBuf>,
    /// The service that takes the lines.
    pub(super) service: Option<ServiceConfig>,
    pub(super) time: LogTime,
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
    let time = match keys.text("log_time")?.as_deref() {
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
    Ok(Log { file, service, time })
}
