//! Edits of a map file. The text around the entry stays as it is, and the file is replaced as a whole.
//!
//! A map is a program, so its text says where an entry stands only in the usual forms: `NAME = VALUE` or
//! `["NAME"] = VALUE`, once, with a value on one line. Whatever the text was, the new one is evaluated before it is
//! written: if it does not say what was asked for and everything else as before, the file stays as it is.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use skyring::ClusterMap;
use skyring::config::NodeEntry;

/// Sets an entry.
pub(super) fn set(file: &Path, name: &str, entry: &NodeEntry) -> Result<(), String> {
    change(file, name, Some(entry))
}

/// Removes an entry.
pub(super) fn unset(file: &Path, name: &str) -> Result<(), String> {
    change(file, name, None)
}

fn change(file: &Path, name: &str, entry: Option<&NodeEntry>) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    // A link stays one: what it leads to is replaced.
    let file = &fs::canonicalize(file).map_err(named)?;
    let before = ClusterMap::load(file).map_err(|error| error.to_string())?;
    let text = fs::read_to_string(file).map_err(named)?;
    let mut wanted = before.clone();
    match entry {
        Some(entry) => wanted.nodes.insert(name.to_owned(), entry.clone()),
        None => match wanted.nodes.remove(name) {
            None => return Err(format!("{} has no node {name}", file.display())),
            removed => removed,
        },
    };
    if wanted == before {
        return Ok(());
    }
    let value = entry.map(|entry| match entry {
        NodeEntry::Address(address) => format!("\"{address}\""),
        NodeEntry::Disabled => "false".to_owned(),
    });
    let name_of_file = file.display().to_string();
    let is_right = |text: &String| ClusterMap::parse(text, &name_of_file).is_ok_and(|map| map == wanted);
    let changed = attempts(&text, name, value.as_deref()).into_iter().find(is_right);
    let changed = changed.ok_or_else(|| {
        let entry = value.as_deref().unwrap_or("no entry");
        format!("{name_of_file}: its form is not understood here; write by hand: {name} is {entry}")
    })?;
    replace(file, &changed)
}

/// Texts of which one should be right.
fn attempts(text: &str, name: &str, value: Option<&str>) -> Vec<String> {
    let mut attempts = Vec::new();
    for (start, end) in entries(text, name) {
        let (head, tail) = (&text[..start], &text[end..]);
        match value {
            Some(value) => {
                let at = text[start..end].find('=').map_or(end, |at| start + at + 1);
                attempts.push(format!("{} {value}{tail}", &text[..at]));
            }
            None => {
                let tail = tail.strip_prefix([',', ';']).unwrap_or(tail);
                let line_start = head.rfind('\n').map_or(0, |at| at + 1);
                let is_alone = head[line_start..].trim().is_empty();
                let rest = tail.trim_start_matches([' ', '\t', '\r']);
                match (is_alone, rest.strip_prefix('\n')) {
                    // Nothing else is on its line.
                    (true, Some(rest)) => attempts.push(format!("{}{rest}", &head[..line_start])),
                    _ => attempts.push(format!("{head}{tail}")),
                }
            }
        }
    }
    if let Some(value) = value {
        let key = match is_plain(name) {
            true => name.to_owned(),
            false => format!("[{name:?}]"),
        };
        // In the table that is returned, behind its last entry.
        if let Some(brace) = text.rfind('}') {
            let head = text[..brace].trim_end();
            let comma = if head.ends_with(['{', ',', ';']) { "" } else { "," };
            attempts.push(format!("{head}{comma}\n    {key} = {value},\n{}", &text[brace..]));
        }
        if is_plain(name) {
            let newline = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            attempts.push(format!("{text}{newline}{key} = {value}\n"));
        }
    }
    attempts
}

/// Where `NAME = VALUE` stands in a text.
fn entries(text: &str, name: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for key in [name.to_owned(), format!("[\"{name}\"]"), format!("['{name}']")] {
        for (start, _) in text.match_indices(&key) {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            if text[..start].ends_with(is_word) {
                continue;
            }
            let rest = &text[start + key.len()..];
            let Some(value) = rest.trim_start().strip_prefix('=') else {
                continue;
            };
            let value = value.trim_start();
            let value_start = text.len() - value.len();
            let length = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].find([quote, '\n']).map(|at| at + 2),
                _ => value.starts_with("false").then_some("false".len()),
            };
            if let Some(length) = length {
                found.push((start, value_start + length));
            }
        }
    }
    found
}

/// Whether a name can be a key of Lua as it is.
fn is_plain(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "global", "goto", "if",
        "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ];
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_word)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !KEYWORDS.contains(&name)
}

/// Replaces a file by one with this text, so that it is never seen half-written.
fn replace(file: &Path, text: &str) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut new = file.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = Path::new(&new);
    let write = || {
        let permissions = fs::metadata(file)?.permissions();
        let mut written = fs::OpenOptions::new().write(true).create_new(true).open(new)?;
        written.write_all(text.as_bytes())?;
        written.set_permissions(permissions)?;
        written.sync_all()?;
        fs::rename(new, file)
    };
    write().map_err(|error| {
        // What was begun is of no use; the error says why.
        let _ = fs::remove_file(new);
        named(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a file after an edit; `""` removes.
    fn edited(text: &str, name: &str, value: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("map.lua");
        fs::write(&file, text).unwrap();
        let done = match value {
            "" => unset(&file, name),
            "false" => set(&file, name, &NodeEntry::Disabled),
            address => set(&file, name, &NodeEntry::Address(address.parse().unwrap())),
        };
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no other file is left");
        let after = fs::read_to_string(&file).unwrap();
        if done.is_err() {
            assert_eq!(after, text);
        }
        done.map(|()| after)
    }

    #[test]
    fn an_entry_is_changed_and_all_other_text_stays() {
        for (before, name, value, after) in [
            (
                "-- 网关\ndb = \"a:1\" -- main\ngate = \"b:2\"\n",
                "db",
                "c:3",
                "-- 网关\ndb = \"c:3\" -- main\ngate = \"b:2\"\n",
            ),
            (
                "return { db = 'a:1', db2 = 'b:2' }",
                "db",
                "false",
                "return { db = false, db2 = 'b:2' }",
            ),
            (
                "return {\n  [\"a-b\"] = \"a:1\",\n}\n",
                "a-b",
                "c:3",
                "return {\n  [\"a-b\"] = \"c:3\",\n}\n",
            ),
            ("db=false", "db", "a:1", "db= \"a:1\""),
            (
                "my_db = 'a:1' db = 'a:1'",
                "db",
                "b:2",
                "my_db = 'a:1' db = \"b:2\"",
            ),
            (
                "-- db = 'x:1'\ndb = 'a:1'\n",
                "db",
                "b:2",
                "-- db = 'x:1'\ndb = \"b:2\"\n",
            ),
            ("db = 'a:1'\n", "db", "a:1", "db = 'a:1'\n"),
        ] {
            assert_eq!(edited(before, name, value).as_deref(), Ok(after), "{before}");
        }
    }

    #[test]
    fn a_new_entry_is_added_in_the_form_of_the_file() {
        for (before, name, after) in [
            ("", "db", "db = \"a:1\"\n"),
            ("x = 'b:2'", "db", "x = 'b:2'\ndb = \"a:1\"\n"),
            (
                "return {\n    x = 'b:2',\n}\n",
                "db",
                "return {\n    x = 'b:2',\n    db = \"a:1\",\n}\n",
            ),
            (
                "return { x = 'b:2' }",
                "db-0",
                "return { x = 'b:2',\n    [\"db-0\"] = \"a:1\",\n}",
            ),
            (
                "__groups = { g = { 'x' } }\nx = 'b:2'\n",
                "db",
                "__groups = { g = { 'x' } }\nx = 'b:2'\ndb = \"a:1\"\n",
            ),
        ] {
            assert_eq!(edited(before, name, "a:1").as_deref(), Ok(after), "{before}");
        }
    }

    #[test]
    fn an_entry_is_removed_with_its_line() {
        for (before, after) in [
            ("db = 'a:1'\nx = 'b:2'\n", "x = 'b:2'\n"),
            (
                "return {\n  x = 'b:2',\n  db = 'a:1',\n}\n",
                "return {\n  x = 'b:2',\n}\n",
            ),
            ("return { db = 'a:1', x = 'b:2' }", "return {  x = 'b:2' }"),
        ] {
            assert_eq!(edited(before, "db", "").as_deref(), Ok(after), "{before}");
        }
        assert!(
            edited("x = 'b:2'", "db", "")
                .unwrap_err()
                .ends_with("has no node db")
        );
    }

    #[test]
    fn a_file_whose_form_is_not_understood_stays_as_it_is() {
        for text in [
            "local port = 1\ndb = 'a:' .. port\nreturn { x = 'b:2', db = 'a:' .. port }",
            "for index = 1, 2 do _ENV['db' .. index] = 'a:' .. index end return { db1 = 'a:9' , db1 = 'a:' .. 7 }",
        ] {
            let name = if text.contains("db1") { "db1" } else { "db" };
            let done = edited(text, name, "");
            assert!(done.is_err(), "{done:?}");
        }
        assert!(edited("db = ", "db", "a:1").is_err());
    }
}
