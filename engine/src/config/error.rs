//! What can be wrong with a config or a map, said in one line.

use std::fmt;
use std::path::{Path, PathBuf};

use super::evaluate::Value;

/// Characters of a user's value that an error quotes; longer values are cut.
const QUOTED_CHARACTERS_MAX: usize = 60;

/// Names that an error lists when it says what would have been right.
const LISTED_NAMES_MAX: usize = 12;

/// Why a node config or a cluster map cannot be used.
///
/// Its `Display` is one line, `FILE:LINE: KEY: what is wrong and what to do`, without the parts that are not
/// known. It never contains a newline or another control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file at fault, as the user named it; an included file is named by the path it was found at.
    pub file: PathBuf,
    /// The line at fault, counted from 1; set for what the Lua interpreter refuses.
    pub line: Option<u32>,
    /// The key at fault; a key inside a table is written `services.sdb`.
    pub key: Option<String>,
    /// What is wrong. Boxed, so that a `Result` that goes well stays small.
    pub kind: Box<ConfigErrorKind>,
}

/// The ways in which a config or a map can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// There is no file of that name.
    #[error("no such file")]
    Missing,
    /// The cluster map that a config names is neither in the working directory nor beside the config.
    #[error("no such file: {named}; looked in the working directory and in {beside}")]
    MapMissing {
        /// The path as the config has it, quoted.
        named: String,
        /// The directory of the config.
        beside: String,
    },
    /// The path names a directory, a socket or a device.
    #[error("not a regular file")]
    NotAFile,
    /// The operating system refused to read the file.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file, or the text after `$NAME` replacement, is larger than any config.
    #[error("larger than {bytes_max} bytes, which is the limit for a config")]
    TooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The file is text in an encoding in which no Lua can be written.
    #[error("UTF-16 text; save the file as UTF-8")]
    Utf16,
    /// The file is no text at all.
    #[error("a binary file, not Lua text")]
    Binary,
    /// A `$NAME` in the text has no value in the environment of the process.
    #[error("environment variable ${0} is not set")]
    VariableUnset(String),
    /// The text is not Lua.
    #[error("{}", syntax_text(.0))]
    Syntax(String),
    /// The text is Lua, and failed when it was run.
    #[error("{0}")]
    Evaluation(String),
    /// The text does not come to an end.
    #[error("took too many steps; a config assigns values and must not loop for long")]
    TooManySteps,
    /// The text uses more memory than any config.
    #[error("took more than {bytes_max} bytes of memory, which is the limit for a config")]
    TooMuchMemory {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Files include each other too deeply, or in a circle.
    #[error("includes are nested more than {depth_max} deep; does a file include itself?")]
    IncludeTooDeep {
        /// The limit, in files.
        depth_max: usize,
    },
    /// One config includes more files than any config.
    #[error("more than {count_max} files are included")]
    TooManyIncludes {
        /// The limit, in files.
        count_max: usize,
    },
    /// A value is of the wrong type or out of range.
    #[error("expected {expected}, found {found}")]
    WrongValue {
        /// What would have been right.
        expected: String,
        /// What is there, with its value.
        found: String,
    },
    /// A key names a node that the cluster map does not have.
    #[error("{name} is not in the cluster map {map}, which knows {known}")]
    NodeUnknown {
        /// The name, quoted.
        name: String,
        /// The file of the map.
        map: String,
        /// The names the map has, as a list.
        known: String,
    },
    /// A key names a node that the cluster map turns off.
    #[error("{name} is disabled (false) in the cluster map {map}; give it an address")]
    NodeDisabled {
        /// The name, quoted.
        name: String,
        /// The file of the map.
        map: String,
    },
    /// A key needs a cluster map, and the config names none.
    #[error("needs a cluster map; add cluster = \"FILE\"")]
    MapNotNamed,
    /// A cluster map was given where a node config was expected.
    #[error("this is a cluster map, not a node config; name it in a config as cluster = \"FILE\"")]
    MapNotConfig,
    /// A key that decides whom a node talks to is wrong. The text holds no secret.
    #[error("{0}")]
    Security(String),
    /// The collector of spans cannot be used.
    #[error("{0}")]
    Otlp(String),
    /// A key or value of Skynet's that this engine does not act on.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Lua's own message, opened with the words "syntax error" exactly once.
fn syntax_text(message: &str) -> String {
    if message.starts_with("syntax error") {
        message.to_owned()
    } else {
        format!("syntax error: {message}")
    }
}

impl ConfigError {
    /// An error of a whole file.
    pub(super) fn of_file(file: &Path, kind: ConfigErrorKind) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            line: None,
            key: None,
            kind: Box::new(kind),
        }
    }

    /// An error at a line of a file.
    pub(super) fn of_line(file: &Path, line: Option<u32>, kind: ConfigErrorKind) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            line,
            key: None,
            kind: Box::new(kind),
        }
    }

    /// An error of one key.
    pub(super) fn of_key(file: &Path, key: &str, kind: ConfigErrorKind) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            line: None,
            key: Some(key.to_owned()),
            kind: Box::new(kind),
        }
    }

    /// The same error, of a key inside the table of `key`.
    pub(super) fn below(mut self, key: &str) -> ConfigError {
        self.key = Some(match self.key {
            Some(inner) => format!("{key}.{inner}"),
            None => key.to_owned(),
        });
        self
    }

    /// A key whose value is not what was expected.
    pub(super) fn wrong_value(
        file: &Path,
        key: &str,
        expected: impl Into<String>,
        found: &Value,
    ) -> ConfigError {
        let kind = ConfigErrorKind::WrongValue {
            expected: expected.into(),
            found: found.to_string(),
        };
        ConfigError::of_key(file, key, kind)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.file.display().to_string();
        if let Some(number) = self.line {
            line.push_str(&format!(":{number}"));
        }
        if let Some(key) = &self.key {
            line.push_str(&format!(": {key}"));
        }
        line.push_str(&format!(": {}", self.kind));
        formatter.write_str(&one_line(&line))
    }
}

impl std::error::Error for ConfigError {}

/// The text without line breaks or other control characters, which keys and messages of a user may hold.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// A user's text as errors quote it: in double quotes, escaped, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut characters = text.chars();
    let mut head: String = characters.by_ref().take(QUOTED_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        head.push('…');
    }
    format!("{head:?}")
}

/// Names as a list in an error: `db, gate_beijing`, cut where it is long, `no nodes` where it is empty.
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    if count == 0 {
        return "no nodes".to_owned();
    }
    let mut list = names.take(LISTED_NAMES_MAX).collect::<Vec<_>>().join(", ");
    if count > LISTED_NAMES_MAX {
        list.push_str(&format!(" and {} more", count - LISTED_NAMES_MAX));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_file_line_key_and_cause() {
        let kind = ConfigErrorKind::WrongValue {
            expected: "a number".into(),
            found: "true".into(),
        };
        let error = ConfigError {
            file: "a/b".into(),
            line: Some(3),
            key: Some("x\ny".into()),
            kind: Box::new(kind),
        };
        assert_eq!(error.to_string(), "a/b:3: x y: expected a number, found true");
    }

    #[test]
    fn a_long_value_is_cut_when_quoted() {
        assert_eq!(quoted("网关"), "\"网关\"");
        let cut = quoted(&"长".repeat(1000));
        assert_eq!(cut.chars().count(), QUOTED_CHARACTERS_MAX + 3);
    }

    #[test]
    fn a_long_list_of_names_says_how_many_are_left_out() {
        assert_eq!(
            listed(std::iter::empty::<&str>().collect::<Vec<_>>().into_iter()),
            "no nodes"
        );
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
        assert!(listed(vec!["a"; LISTED_NAMES_MAX + 5].into_iter()).ends_with("a and 5 more"));
    }

    #[test]
    fn a_syntax_error_says_so_once() {
        assert_eq!(syntax_text("syntax error near '='"), "syntax error near '='");
        assert_eq!(
            syntax_text("unexpected symbol near '='"),
            "syntax error: unexpected symbol near '='"
        );
    }
}
