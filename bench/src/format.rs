//! Figures as people read them.

/// A whole number with a comma between thousands.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in microseconds with its unit, short enough for a table: `87 us`, `1.25 ms`, `2.00 s`.
pub fn duration(microseconds: f64) -> String {
    match microseconds {
        short if short < 10.0 => format!("{short:.1} us"),
        short if short < 1_000.0 => format!("{short:.0} us"),
        middle if middle < 1_000_000.0 => format!("{:.2} ms", middle / 1_000.0),
        long => format!("{:.2} s", long / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        for (number, text) in [
            (0.0, "0"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (time, text) in [
            (4.26, "4.3 us"),
            (87.4, "87 us"),
            (1_250.0, "1.25 ms"),
            (2e6, "2.00 s"),
        ] {
            assert_eq!(duration(time), text);
        }
    }
}
