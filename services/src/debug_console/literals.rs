//! Values in Lua's notation: those of the command `call`, and those that it shows.

use skyring::seri::Value;

/// Most values of one call.
const VALUES_MAX: usize = 64;

/// Parses values that are separated by commas: strings in quotes, numbers, `true`, `false` and `nil`.
///
/// # Errors
/// A text that names what is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if values.len() >= VALUES_MAX {
            return Err(format!("a call has at most {VALUES_MAX} values"));
        }
        let (value, after) = parse_one(rest)?;
        values.push(value);
        rest = match after.trim_start().strip_prefix(',') {
            Some(after) if !after.trim().is_empty() => after.trim_start(),
            None if after.trim().is_empty() => "",
            _ => return Err(format!("expected a comma and a value at \"{}\"", after.trim())),
        };
    }
    Ok(values)
}

fn parse_one(text: &str) -> Result<(Value, &str), String> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        return parse_string(&text[1..], quote);
    }
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let value = match word {
        "nil" => Value::Nil,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => match (word.parse::<i64>(), word.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (_, Ok(number)) if word.contains(|c: char| c.is_ascii_digit()) => Value::Number(number),
            _ => {
                return Err(format!(
                    "\"{word}\" is not a value: use strings in quotes, numbers, true, false and nil; tables need the console in Lua"
                ));
            }
        },
    };
    Ok((value, after))
}

fn parse_string(text: &str, quote: char) -> Result<(Value, &str), String> {
    let mut string = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Value::from(string.as_str()), &text[at + 1..])),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => string.push('\n'),
                Some('t') => string.push('\t'),
                Some('r') => string.push('\r'),
                Some(escaped @ ('\\' | '"' | '\'')) => string.push(escaped),
                _ => return Err("a string has an unknown escape".to_owned()),
            },
            _ => string.push(character),
        }
    }
    Err("a string does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_and_errors_name_their_cause() {
        let parsed = parse(r#" "a, \"b\"", 'c', -5 ,2.5, true,nil"#).expect("values");
        let expected = [
            Value::from("a, \"b\""),
            Value::from("c"),
            Value::Integer(-5),
            Value::Number(2.5),
            Value::Boolean(true),
            Value::Nil,
        ];
        assert_eq!(parsed, expected);
        assert_eq!(parse("").expect("no values"), []);
        for (text, part) in [
            ("x", "is not a value"),
            ("{}", "tables need the console in Lua"),
            ("inf", "is not a value"),
            ("\"x", "does not end"),
            ("'\\q'", "unknown escape"),
            ("1 2", "expected a comma"),
            ("1,", "expected a comma and a value"),
            (&"1,".repeat(100), "at most 64"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
