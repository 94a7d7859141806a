//! The comparison of two measurements.

use std::fmt::Write as _;

use crate::format::{duration, grouped};
use crate::measurement::Measurement;

/// One figure of both.
struct Line {
    name: &'static str,
    figures: (f64, f64),
    show: fn(f64) -> String,
}

/// A table of both, with the ratio of the second to the first, and the differences between their settings.
pub fn compare(
    (first_name, first): (&str, &Measurement),
    (second_name, second): (&str, &Measurement),
) -> String {
    let both = |figure: fn(&Measurement) -> f64| (figure(first), figure(second));
    let line = |name, figure, show| Line {
        name,
        figures: both(figure),
        show,
    };
    let lines = [
        line("calls/s", |m| m.calls_per_second, grouped),
        line("p50", |m| m.latency_us.p50, duration),
        line("p90", |m| m.latency_us.p90, duration),
        line("p99", |m| m.latency_us.p99, duration),
        line("p99.9", |m| m.latency_us.p999, duration),
        line("max", |m| m.latency_us.max, duration),
        line("CPU/call", Measurement::cpu_us_per_call, |cpu| {
            format!("{cpu:.2} us")
        }),
        line("errors", |m| m.errors as f64, grouped),
    ];
    let width = first_name
        .chars()
        .count()
        .max(second_name.chars().count())
        .max(12)
        + 2;
    let mut table = format!(
        "{:<10}{first_name:>width$}{second_name:>width$}{:>10}\n",
        "", "ratio"
    );
    // Writing to a String does not fail.
    for Line {
        name,
        figures: (before, after),
        show,
    } in lines
    {
        let ratio = if before > 0.0 {
            format!("{:.3} x", after / before)
        } else {
            "-".to_owned()
        };
        let _ = writeln!(
            table,
            "{name:<10}{:>width$}{:>width$}{ratio:>10}",
            show(before),
            show(after)
        );
    }
    let differences = differences(first, second);
    if !differences.is_empty() {
        table.push_str("\nnot alike\n");
    }
    for (name, before, after) in differences {
        let _ = writeln!(table, "  {name}: {before}, and {after}");
    }
    table
}

/// The settings that differ, because of which a ratio is not of the program alone.
fn differences(first: &Measurement, second: &Measurement) -> Vec<(&'static str, String, String)> {
    let facts = |m: &Measurement| {
        let settings = &m.settings;
        let rate = settings.rate.map_or_else(
            || "as fast as answers come".to_owned(),
            |rate| format!("{} calls/s", grouped(rate)),
        );
        [
            ("in flight", m.in_flight.to_string()),
            ("rate", rate),
            ("size", format!("{} bytes", m.size)),
            ("channels", m.channels.to_string()),
            ("threads", settings.threads.to_string()),
            ("keys", settings.keys.to_string()),
            ("spinning", format!("{} us", settings.spin_us)),
            ("dialect", settings.dialect.clone()),
            ("called", settings.called.clone()),
            (
                "processor",
                format!("{} x {}", m.machine.processors, m.machine.processor),
            ),
            ("kernel", m.machine.kernel.clone()),
            ("skyring", m.machine.skyring.clone()),
        ]
    };
    let pairs = facts(first).into_iter().zip(facts(second));
    pairs
        .filter(|(before, after)| before != after)
        .map(|((name, before), (_, after))| (name, before, after))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;

    #[test]
    fn ratios_are_of_the_second_to_the_first() {
        let (first, mut second) = (measurement(), measurement());
        second.calls_per_second *= 2.0;
        second.latency_us.p50 /= 2.0;
        let table = compare(("before.json", &first), ("after.json", &second));
        let row = |name: &str| {
            let row = table.lines().find(|line| line.starts_with(name));
            row.map(str::to_owned).unwrap_or_default()
        };
        assert!(row("calls/s").ends_with("2.000 x"), "{table}");
        assert!(row("p50").ends_with("0.500 x"), "{table}");
        assert!(row("errors").ends_with("1.000 x"), "{table}");
        assert!(!table.contains("not alike"), "{table}");
    }

    #[test]
    fn differences_between_the_settings_are_listed() {
        let (first, mut second) = (measurement(), measurement());
        second.in_flight = 256;
        second.settings.rate = None;
        second.errors = 0;
        let table = compare(("a", &first), ("b", &second));
        assert!(table.contains("  in flight: 4, and 256\n"), "{table}");
        assert!(
            table.contains("  rate: 500 calls/s, and as fast as answers come\n"),
            "{table}"
        );
        let none = compare(("b", &second), ("a", &first));
        assert!(
            none.lines()
                .any(|line| line.starts_with("errors") && line.ends_with('-')),
            "{none}"
        );
    }
}
