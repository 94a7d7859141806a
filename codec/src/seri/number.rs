//! The two number types of Lua: when a float equals an integer, and how a float is formatted.

use std::fmt;

/// Two to the 63rd: the first float above every Lua integer. Exact, as powers of two are.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

/// Digits after the first in Lua's `%.14g`.
const DIGITS_AFTER_FIRST: usize = 13;

/// The integer that a float equals, if Lua can represent it.
#[inline]
pub(super) fn exact_integer(number: f64) -> Option<i64> {
    // The range is checked first, because the cast saturates; NaN is outside every range.
    if (-INTEGER_END..INTEGER_END).contains(&number) && number.trunc() == number {
        Some(number as i64)
    } else {
        None
    }
}

/// Formats a float as Lua's `tostring` does: `%.14g`, with `.0` appended to what would look like an integer.
pub(super) fn write_number(output: &mut impl fmt::Write, number: f64) -> fmt::Result {
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number.is_nan() {
        return write!(output, "{sign}nan");
    }
    if number.is_infinite() {
        return write!(output, "{sign}inf");
    }
    let scientific = format!("{:.*e}", DIGITS_AFTER_FIRST, number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..=DIGITS_AFTER_FIRST as i32).contains(&exponent) {
        let decimals = (DIGITS_AFTER_FIRST as i32 - exponent).max(0) as usize;
        let fixed = format!("{:.*}", decimals, number.abs());
        let digits = without_trailing_zeros(&fixed);
        let suffix = if digits.contains('.') { "" } else { ".0" };
        write!(output, "{sign}{digits}{suffix}")
    } else {
        let digits = without_trailing_zeros(mantissa);
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        write!(
            output,
            "{sign}{digits}e{exponent_sign}{:02}",
            exponent.unsigned_abs()
        )
    }
}

/// Removes trailing zeros after the decimal point, and the point itself if no digit is left after it.
fn without_trailing_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: f64) -> String {
        let mut output = String::new();
        write_number(&mut output, number).unwrap();
        output
    }

    #[test]
    fn floats_are_formatted_as_in_lua() {
        let expected = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.25, "-2.25"),
            (std::f64::consts::PI, "3.1415926535898"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e13, "10000000000000.0"),
            (1e14, "1e+14"),
            (99_999_999_999_999.9, "1e+14"),
            (123_456_789_012_345.0, "1.2345678901234e+14"),
            (1e100, "1e+100"),
            (1e308, "1e+308"),
            (5e-324, "4.9406564584125e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ];
        for (number, lua) in expected {
            assert_eq!(text(number), lua, "{number:e}");
        }
    }

    #[test]
    fn only_floats_that_equal_a_lua_integer_convert_to_one() {
        assert_eq!(exact_integer(3.0), Some(3));
        assert_eq!(exact_integer(-0.0), Some(0));
        assert_eq!(exact_integer(-INTEGER_END), Some(i64::MIN));
        assert_eq!(exact_integer(INTEGER_END), None);
        assert_eq!(
            exact_integer(INTEGER_END.next_down()),
            Some(9_223_372_036_854_774_784)
        );
        assert_eq!(exact_integer(0.5), None);
        assert_eq!(exact_integer(f64::NAN), None);
        assert_eq!(exact_integer(f64::NEG_INFINITY), None);
    }
}
