//! Words of a command line as Lua values, and Lua values as text for a terminal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use skyring::seri::Value;

/// The word as text. A word need not be UTF-8, and neither does a Lua string.
pub(crate) fn text(word: OsString) -> Value {
    Value::String(word.into_vec().into())
}

/// The word as what it looks like: `nil`, `true`, `false`, a number as JSON writes it, or else text.
///
/// JSON's grammar and not Lua's, so that `007`, `1.`, `0x10`, `inf` and the like, which are rather names than
/// numbers, keep every character. So do whole numbers that 64 bits cannot hold, and others that are too large.
pub(crate) fn value(word: OsString) -> Value {
    let Some(characters) = word.to_str() else {
        return text(word);
    };
    match characters {
        "nil" => return Value::Nil,
        "true" => return Value::Boolean(true),
        "false" => return Value::Boolean(false),
        _ => {}
    }
    let number = match number_form(characters) {
        Some(NumberForm::Whole) => characters.parse().ok().map(Value::Integer),
        Some(NumberForm::Other) => characters
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Number),
        None => None,
    };
    number.unwrap_or_else(|| text(word))
}

enum NumberForm {
    Whole,
    Other,
}

/// Whether the text is a number in JSON's grammar, and of which sort.
fn number_form(text: &str) -> Option<NumberForm> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_fits = exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || leading_zero || !fraction.is_none_or(digits) || !exponent_fits {
        return None;
    }
    if fraction.is_none() && exponent.is_none() {
        Some(NumberForm::Whole)
    } else {
        Some(NumberForm::Other)
    }
}

/// The text for a terminal: control characters but line breaks and tabs are escaped, so that what a peer
/// answers cannot act on the terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\n' | '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(word: &str) -> Value {
        value(word.into())
    }

    #[test]
    fn words_that_look_like_lua_constants_are() {
        assert_eq!(typed("nil"), Value::Nil);
        assert_eq!(typed("true"), Value::Boolean(true));
        assert_eq!(typed("false"), Value::Boolean(false));
        for word in ["Nil", "TRUE", "null", " nil", ""] {
            assert_eq!(typed(word), Value::from(word));
        }
    }

    #[test]
    fn numbers_as_json_writes_them_are_numbers() {
        assert_eq!(typed("0"), Value::Integer(0));
        assert_eq!(typed("-5"), Value::Integer(-5));
        assert_eq!(typed("9223372036854775807"), Value::Integer(i64::MAX));
        assert_eq!(typed("-9223372036854775808"), Value::Integer(i64::MIN));
        assert_eq!(typed("1.5"), Value::Number(1.5));
        assert_eq!(typed("-0.25e2"), Value::Number(-25.0));
        assert_eq!(typed("2E+3"), Value::Number(2000.0));
        assert_eq!(typed("1.0"), Value::Number(1.0));
    }

    #[test]
    fn what_only_resembles_a_number_keeps_every_character() {
        for word in [
            "007",
            "+5",
            ".5",
            "5.",
            "0x10",
            "1e",
            "1e+",
            "e5",
            "-",
            "--5",
            "1_000",
            "1,5",
            "inf",
            "-inf",
            "nan",
            "NaN",
            "1e999",
            "9223372036854775808",
            "12 ",
            "１２",
            "1.2.3",
            "-00",
        ] {
            assert_eq!(typed(word), Value::from(word), "{word}");
        }
    }

    #[test]
    fn text_stays_text_and_need_not_be_utf8() {
        assert_eq!(text("12".into()), Value::from("12"));
        let bytes = vec![0xff, 0x00, 0x31];
        assert_eq!(
            value(OsString::from_vec(bytes.clone())),
            Value::String(bytes.into())
        );
    }

    #[test]
    fn a_terminal_shows_what_would_act_on_it() {
        assert_eq!(shown("a\tb\nc\x1b[2J\r"), "a\tb\nc\\u{1b}[2J\\r");
    }
}
