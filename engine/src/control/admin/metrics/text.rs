//! Prometheus' text format, version 0.0.4.
//!
//! Not the library `prometheus-client`: it writes OpenMetrics, whose names of counters Prometheus' own check of the older
//! format, `promtool check metrics`, does not accept.
//!
//! Invariant: each family is written once, with its help and its type; a name that another family has gets a prefix.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use crate::status::{DURATION_BOUNDS_US, Durations};

/// What stands before the names of all families of the engine.
const PREFIX: &str = "skyring_";

/// Labels of a sample.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

/// A text that families are added to.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    names: BTreeSet<String>,
}

impl Text {
    /// What was written.
    pub(super) fn into_string(self) -> String {
        self.text
    }

    /// A family of counters; `name` has no prefix and no `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(format!("{PREFIX}{name}_total"), help, "counter")
    }

    /// A family of gauges.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(format!("{PREFIX}{name}"), help, "gauge")
    }

    /// A family of histograms of times; `name` has no unit.
    pub(super) fn seconds(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(format!("{PREFIX}{name}_seconds"), help, "histogram")
    }

    /// A family of a name that all programs share, such as `process_open_fds`.
    pub(super) fn shared(&mut self, name: &str, help: &str, kind: &str) -> Family<'_> {
        self.family(name.to_owned(), help, kind)
    }

    fn family(&mut self, name: String, help: &str, kind: &str) -> Family<'_> {
        let allowed = |letter: char| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => letter,
            _ => '_',
        };
        let mut name: String = name.chars().map(allowed).collect();
        while !self.names.insert(name.clone()) {
            name.insert_str(0, "own_");
        }
        // Writing to a String does not fail.
        let _ = writeln!(
            self.text,
            "# HELP {name} {}\n# TYPE {name} {kind}",
            escaped(help, false)
        );
        Family {
            text: &mut self.text,
            name,
        }
    }
}

/// One family, which samples are added to.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn add(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Adds a histogram.
    pub(super) fn add_durations(&mut self, labels: Labels<'_>, durations: &Durations) {
        let mut below = 0;
        for (range, bound_us) in DURATION_BOUNDS_US.iter().enumerate() {
            below += durations.counts.get(range).copied().unwrap_or(0);
            let bound = (*bound_us as f64 / 1e6).to_string();
            self.line("_bucket", labels, Some(("le", &bound)), below);
        }
        let count = durations.count();
        self.line("_bucket", labels, Some(("le", "+Inf")), count);
        self.line("_sum", labels, None, durations.sum_ns as f64 / 1e9);
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, last: Option<(&str, &str)>, value: impl Display) {
        let (name, text) = (&self.name, &mut *self.text);
        let _ = write!(text, "{name}{suffix}");
        for (number, (label, content)) in labels.iter().copied().chain(last).enumerate() {
            let begin = if number == 0 { '{' } else { ',' };
            let _ = write!(text, "{begin}{label}=\"{}\"", escaped(content, true));
        }
        if !labels.is_empty() || last.is_some() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// A text in which no character ends it early.
fn escaped(text: &str, is_quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if is_quoted => escaped.push_str("\\\""),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_help_and_type_and_labels_are_escaped() {
        let mut text = Text::default();
        let mut family = text.counter("calls", "Calls\nof \\ all.");
        family.add(&[("peer", "a\"b\\c\nd"), ("channel", "1")], 3);
        assert_eq!(
            text.into_string(),
            "# HELP skyring_calls_total Calls\\nof \\\\ all.\n# TYPE skyring_calls_total counter\n\
             skyring_calls_total{peer=\"a\\\"b\\\\c\\nd\",channel=\"1\"} 3\n"
        );
    }

    #[test]
    fn a_name_that_is_taken_or_has_other_letters_becomes_one_of_its_own() {
        let mut text = Text::default();
        text.gauge("ready", "It is.").add(&[], 1);
        text.gauge("ready", "Another.").add(&[], 2);
        text.gauge("a-b c", "Odd.").add(&[], 3);
        let text = text.into_string();
        assert!(
            text.contains("\nskyring_ready 1\n") && text.contains("\nown_skyring_ready 2\n"),
            "{text}"
        );
        assert!(text.contains("\nskyring_a_b_c 3\n"), "{text}");
    }

    #[test]
    fn a_histogram_adds_up() {
        let mut counts = vec![0; DURATION_BOUNDS_US.len() + 1];
        (counts[0], counts[3], counts[21]) = (2, 5, 1);
        let durations = Durations {
            counts,
            sum_ns: 1_500_000_000,
        };
        let mut text = Text::default();
        text.seconds("wait", "Waits.")
            .add_durations(&[("peer", "db")], &durations);
        let text = text.into_string();
        for line in [
            "skyring_wait_seconds_bucket{peer=\"db\",le=\"0.000001\"} 2",
            "skyring_wait_seconds_bucket{peer=\"db\",le=\"0.00001\"} 7",
            "skyring_wait_seconds_bucket{peer=\"db\",le=\"5\"} 7",
            "skyring_wait_seconds_bucket{peer=\"db\",le=\"+Inf\"} 8",
            "skyring_wait_seconds_sum{peer=\"db\"} 1.5",
            "skyring_wait_seconds_count{peer=\"db\"} 8",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
