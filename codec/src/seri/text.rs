//! Lua values as text for humans: log lines, a shell, the `skyring` command.
//!
//! A value by itself is formatted as by Lua's `print`; inside a table as in a script. The text is not meant to be
//! parsed: infinities and NaN have no literal in Lua.

use std::fmt::{self, Display, Formatter, Write};

use super::number::write_number;
use super::value::{Table, Value};

/// Reserved words, which Lua does not accept as `name = …` in a table.
const RESERVED: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

impl Display for Value {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(bytes) => write_raw(formatter, bytes),
            _ => write_inner(formatter, self),
        }
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_char('{')?;
        let mut separator = "";
        for value in &self.array {
            formatter.write_str(separator)?;
            write_inner(formatter, value)?;
            separator = ", ";
        }
        for (key, value) in &self.entries {
            formatter.write_str(separator)?;
            write_key(formatter, key)?;
            formatter.write_str(" = ")?;
            write_inner(formatter, value)?;
            separator = ", ";
        }
        formatter.write_char('}')
    }
}

/// Writes a value as inside a table.
fn write_inner(formatter: &mut Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Nil => formatter.write_str("nil"),
        Value::Boolean(value) => write!(formatter, "{value}"),
        Value::Integer(value) => write!(formatter, "{value}"),
        Value::Number(value) => write_number(formatter, *value),
        Value::String(bytes) => write_quoted(formatter, bytes),
        Value::Table(table) => write!(formatter, "{table}"),
    }
}

fn write_key(formatter: &mut Formatter<'_>, key: &Value) -> fmt::Result {
    match key.as_str() {
        Some(name) if is_name(name) => formatter.write_str(name),
        _ => {
            formatter.write_char('[')?;
            write_inner(formatter, key)?;
            formatter.write_char(']')
        }
    }
}

fn is_name(text: &str) -> bool {
    let has_valid_start = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    has_valid_start
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&text)
}

/// Writes a string without quotes; bytes that are not UTF-8 are escaped.
fn write_raw(formatter: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        formatter.write_str(chunk.valid())?;
        write_escaped(formatter, chunk.invalid())?;
    }
    Ok(())
}

fn write_quoted(formatter: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    formatter.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => formatter.write_str("\\\"")?,
                '\\' => formatter.write_str("\\\\")?,
                '\n' => formatter.write_str("\\n")?,
                '\r' => formatter.write_str("\\r")?,
                '\t' => formatter.write_str("\\t")?,
                control if control.is_control() => {
                    write_escaped(formatter, control.encode_utf8(&mut [0; 4]).as_bytes())?;
                }
                other => formatter.write_char(other)?,
            }
        }
        write_escaped(formatter, chunk.invalid())?;
    }
    formatter.write_char('"')
}

/// Writes bytes as `\ddd`: always three digits, so that a following digit cannot be part of it.
fn write_escaped(formatter: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(formatter, "\\{byte:03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_by_itself_is_formatted_as_by_print() {
        let expected: [(Value, &str); 8] = [
            (Value::Nil, "nil"),
            (Value::from(true), "true"),
            (Value::from(-7), "-7"),
            (Value::from(7.0), "7.0"),
            (Value::from("say \"hi\"\n"), "say \"hi\"\n"),
            (Value::from(&b"a\xff1\xc3\xa9"[..]), "a\\2551é"),
            (Value::from(""), ""),
            (Value::from(Table::new()), "{}"),
        ];
        for (value, text) in expected {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn a_table_is_formatted_as_in_a_script() {
        let mut inner = Table::new();
        inner.set("text", "a\"b\\c\n\x011\u{7f}");
        let mut table = Table::from(vec![Value::from(1), Value::Nil, Value::from(&b"\x80"[..])]);
        table.set("name", "Alice");
        table.set("two words", 2.0);
        table.set("end", false);
        table.set(10, f64::INFINITY);
        table.set("inner", inner);
        assert_eq!(
            Value::from(table).to_string(),
            concat!(
                r#"{1, nil, "\128", name = "Alice", ["two words"] = 2.0, ["end"] = false, [10] = inf, "#,
                r#"inner = {text = "a\"b\\c\n\0011\127"}}"#
            )
        );
    }
}
