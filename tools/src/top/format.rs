//! How figures are written: three significant digits or so, with their unit. `-` stands for what is not known.

const UNKNOWN: &str = "-";

/// A number, or a rate: whole from 10 on.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(value) if value >= 9.995e6 => format!("{:.1}M", value / 1e6),
        Some(value) if value >= 99_950.0 => format!("{:.0}k", value / 1e3),
        Some(value) if value < 10.0 && value.fract() != 0.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// A whole number.
pub(super) fn count(value: u64) -> String {
    number(Some(value as f64))
}

/// A time of so many microseconds.
pub(super) fn microseconds(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(value) if value >= 1e6 => format!("{:.2} s", value / 1e6),
        Some(value) if value >= 1e4 => format!("{:.0} ms", value / 1e3),
        Some(value) if value >= 1e3 => format!("{:.1} ms", value / 1e3),
        Some(value) if value < 10.0 => format!("{value:.1} us"),
        Some(value) => format!("{value:.0} us"),
    }
}

/// A size of so many bytes.
pub(super) fn bytes(value: Option<f64>) -> String {
    let Some(mut value) = value else {
        return UNKNOWN.to_owned();
    };
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return match unit == "B" || value >= 100.0 {
                true => format!("{value:.0} {unit}"),
                false => format!("{value:.1} {unit}"),
            };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}

/// A share, 0 to 1.
pub(super) fn percent(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(value) if value < 0.0995 => format!("{:.1} %", value * 100.0),
        Some(value) => format!("{:.0} %", value * 100.0),
    }
}

/// How long something has lasted.
pub(super) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_their_unit() {
        assert_eq!(number(Some(0.0)), "0");
        assert_eq!(number(Some(1.25)), "1.2");
        assert_eq!(number(Some(1_234.5)), "1234");
        assert_eq!(number(Some(123_456.0)), "123k");
        assert_eq!(number(Some(12_345_678.0)), "12.3M");
        assert_eq!(number(None), "-");
        assert_eq!(microseconds(Some(3.21)), "3.2 us");
        assert_eq!(microseconds(Some(1_500.0)), "1.5 ms");
        assert_eq!(microseconds(Some(2_500_000.0)), "2.50 s");
        assert_eq!(bytes(Some(512.0)), "512 B");
        assert_eq!(bytes(Some(1_536.0)), "1.5 KiB");
        assert_eq!(bytes(Some(3e15)), "2728.5 TiB");
        assert_eq!(
            (percent(Some(0.031)), percent(Some(0.5))),
            ("3.1 %".into(), "50 %".into())
        );
        assert_eq!(age(61_000), "1 min 1 s");
        assert_eq!(age(90_000_000), "25 h 0 min");
    }
}
