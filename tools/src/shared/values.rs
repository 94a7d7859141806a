//! Arguments of a command line as Lua values.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use skyring::seri::Value;

/// The argument as text. An argument need not be UTF-8, and neither does a Lua string.
pub(crate) fn parse_text(argument: OsString) -> Value {
    Value::String(argument.into_vec().into())
}

/// The argument as `nil`, `true`, `false` or a number in JSON's grammar; anything else is text.
///
/// JSON's grammar and not Lua's, so that `007`, `1.`, `0x10`, `inf` and the like, which are rather names than
/// numbers, keep every character. So do integers of more than 64 bits, and other numbers that are too large.
pub(crate) fn parse_value(argument: OsString) -> Value {
    let Some(text) = argument.to_str() else {
        return parse_text(argument);
    };
    match text {
        "nil" => return Value::Nil,
        "true" => return Value::Boolean(true),
        "false" => return Value::Boolean(false),
        _ => {}
    }
    let number = match number_form(text) {
        Some(NumberForm::Integer) => text.parse().ok().map(Value::Integer),
        Some(NumberForm::Float) => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Number),
        None => None,
    };
    number.unwrap_or_else(|| parse_text(argument))
}

enum NumberForm {
    Integer,
    Float,
}

/// The form of a number in JSON's grammar; `None` for any other text.
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
        Some(NumberForm::Integer)
    } else {
        Some(NumberForm::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(argument: &str) -> Value {
        parse_value(argument.into())
    }

    #[test]
    fn names_of_lua_constants_are_parsed_as_constants() {
        assert_eq!(parsed("nil"), Value::Nil);
        assert_eq!(parsed("true"), Value::Boolean(true));
        assert_eq!(parsed("false"), Value::Boolean(false));
        for text in ["Nil", "TRUE", "null", " nil", ""] {
            assert_eq!(parsed(text), Value::from(text));
        }
    }

    #[test]
    fn json_numbers_are_parsed_as_numbers() {
        assert_eq!(parsed("0"), Value::Integer(0));
        assert_eq!(parsed("-5"), Value::Integer(-5));
        assert_eq!(parsed("9223372036854775807"), Value::Integer(i64::MAX));
        assert_eq!(parsed("-9223372036854775808"), Value::Integer(i64::MIN));
        assert_eq!(parsed("1.5"), Value::Number(1.5));
        assert_eq!(parsed("-0.25e2"), Value::Number(-25.0));
        assert_eq!(parsed("2E+3"), Value::Number(2000.0));
        assert_eq!(parsed("1.0"), Value::Number(1.0));
    }

    #[test]
    fn text_that_is_no_json_number_keeps_every_character() {
        for text in [
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
            assert_eq!(parsed(text), Value::from(text), "{text}");
        }
    }

    #[test]
    fn text_is_not_parsed_and_need_not_be_utf8() {
        assert_eq!(parse_text("12".into()), Value::from("12"));
        let bytes = vec![0xff, 0x00, 0x31];
        assert_eq!(
            parse_value(OsString::from_vec(bytes.clone())),
            Value::String(bytes.into())
        );
    }
}
