//! The form of log lines and the choice among them, from the words of a config.

use std::collections::BTreeMap;

use crate::config::{LogFormat, LogLevel, LogSource, LogTime};
use crate::log::{Format, Level, Levels, Origin, Stamp, Style};
use crate::rt::sys;

/// The style of the log that a config describes.
pub(super) fn log_style(time: LogTime, format: LogFormat, levels: &BTreeMap<LogSource, LogLevel>) -> Style {
    let mut allowed = Levels::default();
    for (source, level) in levels {
        let origin = match source {
            LogSource::Node => Origin::Node,
            LogSource::Cluster => Origin::Cluster,
            LogSource::Discovery => Origin::Discovery,
            LogSource::Service => Origin::Service,
        };
        let level = match level {
            LogLevel::Off => None,
            LogLevel::Error => Some(Level::Error),
            LogLevel::Warning => Some(Level::Warning),
            LogLevel::Info => Some(Level::Info),
            LogLevel::Debug => Some(Level::Debug),
        };
        allowed.set(origin, level);
    }
    Style {
        stamp: match (time, format) {
            (LogTime::None, LogFormat::Time) | (LogTime::Utc, _) => Stamp::Utc,
            (LogTime::None, _) => Stamp::None,
            (LogTime::Skynet, _) => Stamp::Local(sys::local_offset),
        },
        format: match format {
            LogFormat::Skynet => Format::Skynet,
            LogFormat::Time => Format::Levelled,
            LogFormat::Json => Format::Json,
        },
        levels: allowed,
    }
}
