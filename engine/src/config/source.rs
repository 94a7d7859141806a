//! Reading a config's text: regular files of bounded size, as UTF-8, with `$NAME` replaced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::error::{ConfigError, ConfigErrorKind};

/// The largest file that is read as a config or a map, and the largest text after `$NAME` replacement. A map
/// of ten thousand nodes is a third of this.
pub(super) const SOURCE_BYTES_MAX: usize = 1 << 20;

/// Reads the text of a file.
///
/// Only regular files are opened, because opening a pipe without a writer would wait for ever. A byte order
/// mark, which some editors on other systems write, is left out.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let fault = |kind| ConfigError::of_file(path, kind);
    let unreadable = |error: std::io::Error| {
        fault(match error.kind() {
            ErrorKind::NotFound => ConfigErrorKind::Missing,
            ErrorKind::PermissionDenied => ConfigErrorKind::Unreadable("permission denied".to_owned()),
            _ => ConfigErrorKind::Unreadable(error.to_string()),
        })
    };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(fault(ConfigErrorKind::NotAFile));
    }
    let mut bytes = Vec::new();
    // One byte past the limit is enough to know that the file is too large, whatever size it claims.
    let file = File::open(path).map_err(unreadable)?;
    file.take(SOURCE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > SOURCE_BYTES_MAX {
        return Err(fault(ConfigErrorKind::TooLarge {
            bytes_max: SOURCE_BYTES_MAX,
        }));
    }
    if bytes.contains(&0) {
        return Err(fault(ConfigErrorKind::NotText));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault(ConfigErrorKind::NotText))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Replaces every `$NAME` (ASCII letters, digits and `_`) by what `variable` says.
///
/// As in Skynet this happens in the text, before it is evaluated: it reaches comments and bare words, so
/// `thread = $THREADS` works, and a variable that is not set is an error wherever it stands.
pub(super) fn replace_variables(
    path: &Path,
    text: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String, ConfigError> {
    let mut replaced = String::with_capacity(text.len());
    let mut line = 1;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        replaced.push_str(before);
        line += before.bytes().filter(|byte| *byte == b'\n').count() as u32;
        let end = after.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (name, following) = after.split_at(end.unwrap_or(after.len()));
        rest = following;
        if name.is_empty() {
            replaced.push('$');
            continue;
        }
        let fault = |kind| ConfigError::of_line(path, Some(line), kind);
        let value = variable(name).ok_or_else(|| fault(ConfigErrorKind::VariableUnset(name.to_owned())))?;
        let Some(value) = value.to_str() else {
            return Err(fault(ConfigErrorKind::VariableNotText(name.to_owned())));
        };
        replaced.push_str(value);
        // Checked on every replacement: a small file could name a large variable many times.
        if replaced.len() > SOURCE_BYTES_MAX {
            return Err(fault(ConfigErrorKind::TooLarge {
                bytes_max: SOURCE_BYTES_MAX,
            }));
        }
    }
    replaced.push_str(rest);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(text: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "HOST" => Some(OsString::from("10.0.0.1")),
            "PORT_2" => Some(OsString::from("7102")),
            "EMPTY" => Some(OsString::new()),
            "LARGE" => Some(OsString::from("x".repeat(4096))),
            "DOLLAR" => Some(OsString::from("$HOST")),
            _ => None,
        };
        replace_variables(Path::new("config"), text, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_ends_where_letters_digits_and_underscores_end() {
        assert_eq!(replace("a = \"$HOST:$PORT_2\"").unwrap(), "a = \"10.0.0.1:7102\"");
        assert_eq!(replace("$HOST中文$EMPTY.").unwrap(), "10.0.0.1中文.");
    }

    #[test]
    fn a_lone_dollar_stays_and_a_value_is_not_replaced_again() {
        assert_eq!(replace("$ $$ $-$").unwrap(), "$ $$ $-$");
        assert_eq!(replace("$$HOST").unwrap(), "$10.0.0.1");
        assert_eq!(replace("$DOLLAR").unwrap(), "$HOST");
    }

    #[test]
    fn an_unset_variable_is_an_error_that_names_it_and_its_line() {
        assert_eq!(
            replace("-- 注释\nx = 1\ny = \"$NOWHERE/x\"").unwrap_err(),
            "config:3: environment variable $NOWHERE is not set"
        );
    }

    #[test]
    fn text_that_grows_past_the_limit_by_replacement_is_an_error() {
        let error = replace(&"$LARGE ".repeat(300)).unwrap_err();
        assert!(error.contains("larger than 1048576 bytes"), "{error}");
    }
}
