//! Reading a config's text: regular files of bounded size, in any encoding whose ASCII is ASCII, with `$NAME` replaced.
//!
//! The text stays as it is in the file: comments and values may be GBK or anything else, as in Skynet.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::error::{ConfigError, ConfigErrorKind};

/// The largest file that is read as a config or a map, and the largest text after `$NAME` replacement. A map
/// of ten thousand nodes is a third of this.
pub(super) const SOURCE_BYTES_MAX: usize = 1 << 20;

/// The byte order mark of UTF-8.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The byte order marks of UTF-16, in which no Lua is written.
const UTF_16_LITTLE: [u8; 2] = [0xff, 0xfe];
const UTF_16_BIG: [u8; 2] = [0xfe, 0xff];

/// Reads the text of a file.
///
/// Only regular files are opened, because opening a pipe without a writer would wait for ever. A byte order
/// mark, which some editors on other systems write, is left out, and so is a first line that begins with `#`, as Lua
/// does it; its newline stays, so that lines keep their numbers.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
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
    if bytes.starts_with(&UTF_16_LITTLE) || bytes.starts_with(&UTF_16_BIG) {
        return Err(fault(ConfigErrorKind::Utf16));
    }
    if bytes.starts_with(UTF_8_MARK) {
        bytes.drain(..UTF_8_MARK.len());
    }
    if bytes.first() == Some(&b'#') {
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        bytes.drain(..line_end.unwrap_or(bytes.len()));
    }
    Ok(bytes)
}

/// Replaces every `$NAME` (ASCII letters, digits and `_`) by what `variable` says.
///
/// As in Skynet this happens in the text, before it is evaluated: it reaches comments and bare words, so
/// `thread = $THREADS` works, and a variable that is not set is an error wherever it stands.
pub(super) fn replace_variables(
    path: &Path,
    text: &[u8],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<u8>, ConfigError> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut line = 1;
    let mut rest = text;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        let (before, after) = (&rest[..dollar], &rest[dollar + 1..]);
        replaced.extend_from_slice(before);
        line += before.iter().filter(|byte| **byte == b'\n').count() as u32;
        let end = after
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let (name, following) = after.split_at(end.unwrap_or(after.len()));
        rest = following;
        // ASCII by the search above.
        let name = str::from_utf8(name).unwrap_or_default();
        if name.is_empty() {
            replaced.push(b'$');
            continue;
        }
        let fault = |kind| ConfigError::of_line(path, Some(line), kind);
        let value = variable(name).ok_or_else(|| fault(ConfigErrorKind::VariableUnset(name.to_owned())))?;
        replaced.extend_from_slice(&value.into_vec());
        // Checked on every replacement: a small file could name a large variable many times.
        if replaced.len() > SOURCE_BYTES_MAX {
            return Err(fault(ConfigErrorKind::TooLarge {
                bytes_max: SOURCE_BYTES_MAX,
            }));
        }
    }
    replaced.extend_from_slice(rest);
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
        let replaced = replace_variables(Path::new("config"), text.as_bytes(), variable);
        let text = replaced.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.map_err(|error| error.to_string())
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
