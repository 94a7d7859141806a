//! Typed reading of the keys of one node config.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::evaluate::{Entries, Value};
use super::known::SECURITY_KEYS;
use super::service::{SERVICE_NAME_BYTES_MAX, ServiceConfig};

/// The word before a service's kind that makes it a keyed one.
const KEYED_WORD: &str = "keyed";

/// What the value of a service is.
const SERVICE_EXPECTED: &str = "\"KIND ARGUMENTS\" or \"keyed KIND ARGUMENTS\"";

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
        let Value::Text(text) = value else {
            return Err(ConfigError::wrong_value(self.path, &key, SERVICE_EXPECTED, value));
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
        })
    }

    /// Every value that has a text, as Skynet gives it to services.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, Vec<u8>>, ConfigError> {
        let mut environment = BTreeMap::new();
        for (key, value) in self.entries {
            let text = match value {
                Value::Text(text) | Value::Number { text, .. } => text.clone().into_bytes(),
                Value::Bytes(bytes) => bytes.clone(),
                Value::Boolean(value) => value.to_string().into_bytes(),
                Value::Table(_) if key == "services" => continue,
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
