//! The comparison of two sets of results, from files.

use std::fmt::Write as _;

use serde::Serialize;

use crate::format::grouped;
use crate::measurement::Measurement;
use crate::verdict::{Figure, FigureResult, Verdict, compare_unpaired, figure_table, verdict_text};

/// Most differences between settings that are listed.
const DIFFERENCES_MAX: usize = 50;

/// What the results say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The verdict over the second side.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The verdict as a sentence.
    pub text: String,
    /// Ratios of the second side to the first.
    pub figures: Vec<FigureResult>,
    /// Results of each side.
    pub results: [usize; 2],
    /// Settings in which results differ, because of which a ratio is not of the program alone.
    pub not_alike: Vec<String>,
    #[serde(skip)]
    names: [String; 2],
}

/// Compares the results of both sides, each with its name. A difference of `margin_percent` does not matter.
pub fn compare(
    (first_name, first): (&str, &[Measurement]),
    (second_name, second): (&str, &[Measurement]),
    main: Figure,
    margin_percent: f64,
) -> Comparison {
    let (figures, verdict) = compare_unpaired(first, second, main, margin_percent);
    Comparison {
        text: verdict_text(&verdict, &figures),
        verdict,
        figures,
        results: [first.len(), second.len()],
        not_alike: differences(first, second),
        names: [first_name.to_owned(), second_name.to_owned()],
    }
}

impl Comparison {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What each side is called.
    pub(crate) fn names(&self) -> (&str, &str) {
        let [first, second] = &self.names;
        (first, second)
    }

    /// The table, the differences between settings, and the verdict.
    pub fn to_text(&self) -> String {
        let [first, second] = &self.names;
        let mut text = figure_table(&self.figures, (first, second), &[]);
        if !self.not_alike.is_empty() {
            text.push_str("\nnot alike\n");
        }
        // Writing to a String does not fail.
        for difference in &self.not_alike {
            let _ = writeln!(text, "  {difference}");
        }
        let _ = writeln!(text, "\n{}", self.text);
        text
    }
}

/// The settings in which any result differs from the first one.
fn differences(first: &[Measurement], second: &[Measurement]) -> Vec<String> {
    let mut all = first.iter().chain(second);
    let Some(one) = all.next() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for other in all {
        for (name, before, after) in differences_of(one, other) {
            let text = format!("{name}: {before}, and {after}");
            if !found.contains(&text) && found.len() < DIFFERENCES_MAX {
                found.push(text);
            }
        }
    }
    found
}

/// The settings in which two results differ.
fn differences_of(first: &Measurement, second: &Measurement) -> Vec<(&'static str, String, String)> {
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

    fn compared(first: &[Measurement], second: &[Measurement]) -> String {
        compare(("before", first), ("after", second), Figure::CallsPerSecond, 2.0).to_text()
    }

    #[test]
    fn ratios_are_of_the_second_to_the_first_and_two_results_conclude_nothing() {
        let (first, mut second) = (measurement(), measurement());
        second.calls_per_second *= 2.0;
        second.latency_us.p50 /= 2.0;
        let table = compared(&[first], &[second]);
        let row = |name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
        };
        assert!(row("calls/s").contains(" 2.000 "), "{table}");
        assert!(row("p50").contains(" 0.500 "), "{table}");
        assert!(!table.contains("not alike"), "{table}");
        assert!(
            table.ends_with("cannot tell: nothing can be concluded from so few measurements\n"),
            "{table}"
        );
    }

    #[test]
    fn differences_between_the_settings_are_listed_once() {
        let (first, mut second) = (measurement(), measurement());
        second.in_flight = 256;
        second.settings.rate = None;
        let table = compared(&[first.clone(), first], &[second.clone(), second]);
        assert_eq!(table.matches("  in flight: 4, and 256\n").count(), 1, "{table}");
        assert!(
            table.contains("  rate: 500 calls/s, and as fast as answers come\n"),
            "{table}"
        );
    }

    #[test]
    fn a_comparison_is_one_line_of_json() {
        let results = vec![measurement(); 6];
        let json = compare(("a", &results), ("b", &results), Figure::CallsPerSecond, 2.0).to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["verdict"], "no_difference", "{json}");
        assert_eq!(value["figures"][0]["figure"], "calls_per_second", "{json}");
        assert_eq!(value["results"][1], 6, "{json}");
    }
}
