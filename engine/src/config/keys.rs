//! Typed reading of the keys of one node config.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::ConfigError;
use super::evaluate::{Entries, Value};
use super::known::{SECURITY_KEYS, TLS};
use super::service::{RestartConfig, SERVICE_NAME_BYTES_MAX, ServiceConfig, SupervisionConfig};
use super::supervision::{Escalation, Restart, Strategy};

/// The word before a service's kind that makes it a keyed one.
const KEYED_WORD: &str = "keyed";

/// What the value of a service is.
const SERVICE_EXPECTED: &str =
    "\"KIND ARGUMENTS\", \"keyed KIND ARGUMENTS\" or { \"KIND ARGUMENTS\", restart = \"always\" }";

/// The names in the table of a service.
const RESTART_KEYS: [&str; 4] = [
    "restart",
    "restart_delay_ms",
    "restart_delay_ms_max",
    "stop_timeout_ms",
];

/// The names in the table `supervision`.
const SUPERVISION_KEYS: [&str; 4] = ["strategy", "restarts_max", "period_ms", "escalation"];

/// The longest of the times below, in milliseconds.
const TIME_MS_MAX: i64 = 3_600_000;

/// What such a time is.
const TIME_EXPECTED: &str = "milliseconds, 0 to 3600000";

/// Most restarts within a period; a supervisor remembers each.
const RESTARTS_MAX: i64 = 100_000;

/// The keys of one file.
pub(super) struct Keys<'a> {
    pub(super) path: &'a Path,
    pub(super) entries: &'a Entries,
}

impl Keys<'_> {
    /// A text in UTF-8. An empty one is the same as none: that is how an environment variable leaves a key unset.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(found) => Err(ConfigError::wrong_value(self.path, key, "text", found)),
        }
    }

    /// A text in any encoding, such as a path.
    pub(super) fn bytes(&self, key: &str) -> Result<Option<OsString>, ConfigError> {
        match self.entries.get(key) {
            Some(Value::Bytes(bytes)) => Ok(Some(OsString::from_vec(bytes.clone()))),
            _ => Ok(self.text(key)?.map(OsString::from)),
        }
    }

    /// A path.
    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.bytes(key)?.map(PathBuf::from))
    }

    /// A text that may also be `false`, which is none.
    pub(super) fn path_or_false(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        match self.entries.get(key) {
            Some(Value::Boolean(false)) => Ok(None),
            _ => self.path(key),
        }
    }

    /// A list of texts, or one text; an empty text is the same as none.
    pub(super) fn texts(&self, key: &str, expected: &str) -> Result<Option<Vec<String>>, ConfigError> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(value) => texts(value)
                .map(|texts| Some(texts).filter(|texts| *texts != [""]))
                .map_err(|found| ConfigError::wrong_value(self.path, key, expected, found)),
        }
    }

    /// A boolean, which may also stand as text: that is how an environment variable gives one.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(*value)),
            Some(Value::Text(text)) if text == "true" => Ok(Some(true)),
            Some(Value::Text(text)) if text == "false" => Ok(Some(false)),
            Some(found) => Err(ConfigError::wrong_value(self.path, key, "true or false", found)),
        }
    }

    /// A whole number in `range`, which may also stand as text.
    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(found) = self.entries.get(key) else {
            return Ok(None);
        };
        let number = match found {
            Value::Number { whole, .. } => *whole,
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(ConfigError::wrong_value(self.path, key, expected, found)),
        }
    }

    pub(super) fn services(&self) -> Result<BTreeMap<String, ServiceConfig>, ConfigError> {
        const EXPECTED: &str = "{ NAME = \"KIND ARGUMENTS\" }";
        let services = match self.entries.get("services") {
            None => return Ok(BTreeMap::new()),
            Some(Value::Table(services)) => services,
            Some(found) => return Err(ConfigError::wrong_value(self.path, "services", EXPECTED, found)),
        };
        let checked = services
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.service(name, value)?)));
        checked.collect()
    }

    /// One service of the table.
    fn service(&self, name: &str, value: &Value) -> Result<ServiceConfig, ConfigError> {
        let key = format!("services.{name}");
        if name.is_empty()
            || name.len() > SERVICE_NAME_BYTES_MAX
            || name.starts_with(['@', '.', ':'])
            || name.chars().any(char::is_control)
        {
            let expected = "a service name of 1 to 255 bytes that does not begin with @, . or :";
            let found = Value::Text(name.to_owned());
            return Err(ConfigError::wrong_value(self.path, "services", expected, &found));
        }
        let (text, restart) = match value {
            Value::Text(text) => (text, RestartConfig::default()),
            Value::Mixed { listed, named } => match listed.as_slice() {
                [Value::Text(text)] => (text, self.restart(&key, named)?),
                _ => return Err(ConfigError::wrong_value(self.path, &key, SERVICE_EXPECTED, value)),
            },
            _ => return Err(ConfigError::wrong_value(self.path, &key, SERVICE_EXPECTED, value)),
        };
        let words = |text: &str| -> (String, String) {
            let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            (word.to_owned(), rest.trim_start().to_owned())
        };
        let (first, rest) = words(text.trim());
        let keyed = first == KEYED_WORD;
        let (kind, arguments) = if keyed { words(&rest) } else { (first, rest) };
        if kind.is_empty() {
            return Err(ConfigError::wrong_value(self.path, &key, SERVICE_EXPECTED, value));
        }
        Ok(ServiceConfig {
            kind,
            arguments,
            keyed,
            restart,
        })
    }

    /// How a service is started again.
    fn restart(&self, key: &str, named: &Entries) -> Result<RestartConfig, ConfigError> {
        let read = || {
            let keys = Keys {
                path: self.path,
                entries: named,
            };
            keys.only(&RESTART_KEYS)?;
            let default = RestartConfig::default();
            let time = |key: &str| keys.number::<u32>(key, 0..=TIME_MS_MAX, TIME_EXPECTED);
            let delay_ms = time("restart_delay_ms")?.unwrap_or(default.delay_ms);
            let delay_ms_max = time("restart_delay_ms_max")?;
            if delay_ms_max.is_some_and(|longest| longest < delay_ms) {
                let found = named
                    .get("restart_delay_ms_max")
                    .unwrap_or(&Value::Other("nothing"));
                let expected = format!("at least restart_delay_ms, which is {delay_ms}");
                return Err(ConfigError::wrong_value(
                    self.path,
                    "restart_delay_ms_max",
                    expected,
                    found,
                ));
            }
            Ok(RestartConfig {
                restart: keys.word("restart", Restart::EXPECTED)?.unwrap_or_default(),
                delay_ms,
                delay_ms_max: delay_ms_max.unwrap_or(default.delay_ms_max.max(delay_ms)),
                stop_timeout_ms: time("stop_timeout_ms")?,
            })
        };
        read().map_err(|error| error.below(key))
    }

    /// How the services are supervised, if the config says so.
    pub(super) fn supervision(&self) -> Result<Option<SupervisionConfig>, ConfigError> {
        const KEY: &str = "supervision";
        let named = match self.entries.get(KEY) {
            None => return Ok(None),
            Some(Value::Table(named)) => named,
            Some(found) => {
                let expected = "{ strategy = \"one-for-one\", restarts_max = 5, period_ms = 10000 }";
                return Err(ConfigError::wrong_value(self.path, KEY, expected, found));
            }
        };
        let read = || {
            let keys = Keys {
                path: self.path,
                entries: named,
            };
            keys.only(&SUPERVISION_KEYS)?;
            let default = SupervisionConfig::default();
            let restarts_max = keys.number(
                "restarts_max",
                0..=RESTARTS_MAX,
                "a whole number from 0 to 100000",
            )?;
            let period_ms = keys.number("period_ms", 1..=TIME_MS_MAX, "milliseconds, 1 to 3600000")?;
            Ok(SupervisionConfig {
                strategy: keys.word("strategy", Strategy::EXPECTED)?.unwrap_or_default(),
                restarts_max: restarts_max.unwrap_or(default.restarts_max),
                period_ms: period_ms.unwrap_or(default.period_ms),
                escalation: keys.word("escalation", Escalation::EXPECTED)?.unwrap_or_default(),
            })
        };
        read().map(Some).map_err(|error: ConfigError| error.below(KEY))
    }

    /// One of a few words.
    fn word<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, ConfigError> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) if let Ok(word) = text.parse() => Ok(Some(word)),
            Some(found) => Err(ConfigError::wrong_value(self.path, key, expected, found)),
        }
    }

    /// Checks that there are no other names.
    fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.entries.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let expected = format!("one of {}", known.join(", "));
                let found = Value::Text(unknown.clone());
                Err(ConfigError::wrong_value(self.path, unknown, expected, &found))
            }
        }
    }

    /// Every value that has a text, as Skynet gives it to services.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, Vec<u8>>, ConfigError> {
        let mut environment = BTreeMap::new();
        for (key, value) in self.entries {
            let text = match value {
                Value::Text(text) | Value::Number { text, .. } => text.clone().into_bytes(),
                Value::Bytes(bytes) => bytes.clone(),
                Value::Boolean(value) => value.to_string().into_bytes(),
                Value::Table(_)
                    if ["services", "supervision", "discovery", "log_levels", TLS].contains(&&**key) =>
                {
                    continue;
                }
                Value::Table(_) | Value::List(_) if SECURITY_KEYS.contains(&key.as_str()) => continue,
                found => {
                    let expected = "text, a number, true or false";
                    return Err(ConfigError::wrong_value(self.path, key, expected, found));
                }
            };
            environment.insert(key.clone(), text);
        }
        Ok(environment)
    }
}

/// The texts of a list, or of one text; or else the value that is none.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, &Value> {
    let values = match value {
        Value::Text(text) => return Ok(vec![text.clone()]),
        Value::List(values) => values,
        Value::Mixed { listed, named } if named.is_empty() => listed,
        // An empty table has neither names nor numbers.
        Value::Table(entries) if entries.is_empty() => return Ok(Vec::new()),
        other => return Err(other),
    };
    let texts = values.iter().map(|value| match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(other),
    });
    texts.collect()
}
