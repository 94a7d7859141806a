//! A record: the figures of a revision on a machine, as one line of JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::suite::{Figure, SUITE};
use crate::machine::Machine;
use crate::median::median;

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 1;

/// Most values of a figure in a record, and the greatest number that may stand in one.
const VALUES_MAX: usize = 10_000;
const NUMBER_MAX: f64 = 1e15;

/// Most characters of a text in a record.
const TEXT_MAX: usize = 1_000;

/// The chance with which an interval contains the median, where there are enough values for it.
const COVERAGE: f64 = 0.95;

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub skyring_history: u32,
    /// The measurements and floors that were used: [`SUITE`].
    pub suite: u32,
    /// The commit.
    pub revision: String,
    /// When it was committed, in seconds since 1970; records are in this order.
    pub revision_unix: u64,
    /// The same for people.
    pub revision_date: String,
    /// The first line of its message.
    pub title: String,
    /// Whether the program was built of a tree with changes that are not committed.
    pub is_dirty: bool,
    /// When it was measured, in seconds since 1970.
    pub recorded_unix: u64,
    /// The machine, and the version of the program that measured.
    pub machine: Machine,
    /// How often each case was measured.
    pub rounds: u32,
    /// What the machine did by itself.
    pub unrest: RecordUnrest,
    /// The figures by their keys.
    pub figures: BTreeMap<String, RecordedFigure>,
    /// Why some are missing.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// What the machine did by itself during a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordUnrest {
    /// Part of the time in which a loop that only reads the clock did not run, before and after, in percent.
    pub away_percent: f64,
    /// Its longest gap, in microseconds.
    pub away_us_max: f64,
    /// Part of the processors' time that the host gave to others during the record, in percent.
    pub steal_percent: f64,
    /// Part that other programs used, in percent: the median of the measurements; `None` when the program does not say it.
    pub other_percent: Option<f64>,
}

/// A figure of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFigure {
    /// The median of all rounds: a ratio to the floor, or a cost.
    pub median: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The chance, in percent, with which the interval contains the median: less than 95 with fewer than six rounds.
    pub coverage_percent: f64,
    /// The values of all rounds.
    pub values: Vec<f64>,
    /// The median of what was measured, before any ratio: calls a second, microseconds, or the cost.
    pub measured: f64,
    /// The same of the floor, if there is one.
    pub floor: Option<f64>,
}

impl RecordedFigure {
    /// Of the values of all rounds; `None` when there is none.
    pub(super) fn new(values: &[f64], measured: &[f64], floors: &[f64]) -> Option<RecordedFigure> {
        if values.is_empty() {
            return None;
        }
        let round = |number: f64| {
            // Six digits: more than any measurement has.
            let scale = 10f64.powi(5 - number.abs().max(1e-9).log10().floor() as i32);
            (number * scale).round() / scale
        };
        let values: Vec<f64> = values.iter().map(|value| round(*value)).collect();
        let middle = Middle::of(&values)?;
        Some(RecordedFigure {
            median: round(middle.median),
            low: middle.low,
            high: middle.high,
            coverage_percent: round(middle.coverage_percent),
            values,
            measured: round(median(measured.to_vec())),
            floor: (!floors.is_empty()).then(|| round(median(floors.to_vec()))),
        })
    }
}

/// The median of values with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Middle {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) coverage_percent: f64,
}

impl Middle {
    /// The interval between the values that lie equally far from both ends and are as close as 95 % allow (the interval of
    /// the sign test); with fewer than six values it is that of all, which contains the median less often.
    pub(super) fn of(values: &[f64]) -> Option<Middle> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        if count == 0 {
            return None;
        }
        // The chance that at most `left` of the values lie on one side of the median, doubled for both sides.
        let mut term = 0.5f64.powi(count.min(1_000) as i32);
        let (mut sum, mut left, mut coverage) = (0.0, 0, 1.0 - 2.0 * term);
        for fewer in 0..count / 2 {
            sum += term;
            let covered = 1.0 - 2.0 * sum;
            if fewer > 0 && covered < COVERAGE {
                break;
            }
            (left, coverage) = (fewer, covered);
            term *= (count - fewer) as f64 / (fewer + 1) as f64;
        }
        Some(Middle {
            low: sorted[left],
            high: sorted[count - 1 - left],
            median: median(sorted),
            coverage_percent: coverage.max(0.0) * 100.0,
        })
    }
}

impl Record {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A record that was written as JSON.
    ///
    /// # Errors
    /// A text with the cause.
    pub fn from_json(line: &str) -> Result<Record, String> {
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("it is not JSON: {error}"))?;
        let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64);
        let Some(format) = number("skyring_history") else {
            return Err("it is not a record of skyring bench record".to_owned());
        };
        if format != u64::from(FORMAT) {
            return Err(format!(
                "its format is version {format}, and this program reads version {FORMAT}"
            ));
        }
        let suite = number("suite");
        if suite != Some(u64::from(SUITE)) {
            let suite = suite.map_or_else(|| "no suite".to_owned(), |suite| format!("suite {suite}"));
            return Err(format!(
                "it was measured with {suite}, and this program knows suite {SUITE}"
            ));
        }
        let record: Record =
            serde_json::from_value(value).map_err(|error| format!("it is not a record: {error}"))?;
        record.check()?;
        Ok(record)
    }

    /// Refuses what a record of [`record`](super::record) never has.
    fn check(&self) -> Result<(), String> {
        let is_hex = self.revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(7..=64).contains(&self.revision.len()) {
            return Err("its revision is not a commit".to_owned());
        }
        let machine = &self.machine;
        let texts = [
            &self.revision_date,
            &self.title,
            &machine.processor,
            &machine.kernel,
            &machine.architecture,
            &machine.skyring,
        ];
        for text in texts.into_iter().chain(&self.missing) {
            if text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
                return Err(format!(
                    "a text has more than {TEXT_MAX} characters or a control character"
                ));
            }
        }
        for (key, figure) in &self.figures {
            if !Figure::all().any(|known| known.key() == *key) {
                return Err(format!("{key} is not a figure of suite {SUITE}"));
            }
            figure.check().map_err(|cause| format!("{key}: {cause}"))?;
        }
        Ok(())
    }
}

impl RecordedFigure {
    fn check(&self) -> Result<(), String> {
        let own = [
            self.median,
            self.low,
            self.high,
            self.coverage_percent,
            self.measured,
        ];
        let numbers = own.iter().chain(&self.floor).chain(&self.values);
        for number in numbers {
            if !(0.0..=NUMBER_MAX).contains(number) {
                return Err(format!("{number} is not in 0 to {NUMBER_MAX}"));
            }
        }
        if self.low > self.median || self.median > self.high {
            return Err(format!(
                "its median {} is not within {} to {}",
                self.median, self.low, self.high
            ));
        }
        if self.values.is_empty() || self.values.len() > VALUES_MAX {
            return Err(format!(
                "it has {} values, not 1 to {VALUES_MAX}",
                self.values.len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of a revision whose figures all have that value.
    pub(in crate::history) fn record(revision: u64, value: f64) -> Record {
        let figure = RecordedFigure::new(&[value, value * 1.01, value * 0.99], &[value * 1e6], &[1e6]);
        Record {
            skyring_history: FORMAT,
            suite: SUITE,
            revision: format!("{revision:07x}{revision:033x}"),
            revision_unix: 1_000_000 + revision,
            revision_date: format!("2026-11-{:02} 10:00", revision % 30 + 1),
            title: "Do <one> thing".to_owned(),
            is_dirty: false,
            recorded_unix: 2_000_000,
            machine: Machine {
                processor: "a processor".to_owned(),
                processors: 2,
                ..Machine::default()
            },
            rounds: 3,
            unrest: RecordUnrest::default(),
            figures: Figure::all()
                .filter_map(|known| Some((known.key(), figure.clone()?)))
                .collect(),
            missing: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_one_line_and_is_read_as_it_was_written() {
        let record = record(7, 1.5);
        let line = record.to_json();
        assert!(!line.contains('\n'));
        assert_eq!(Record::from_json(&line), Ok(record));
    }

    #[test]
    fn a_line_that_is_no_record_says_what_is_wrong() {
        let good = record(1, 2.0).to_json();
        let with = |from: &str, to: &str| good.replacen(from, to, 1);
        for (line, cause) in [
            ("".to_owned(), "not JSON"),
            (good[..good.len() / 2].to_owned(), "not JSON"),
            ("{}".to_owned(), "not a record of skyring bench record"),
            ("[1]".to_owned(), "not a record of skyring bench record"),
            (
                with("\"skyring_history\":1", "\"skyring_history\":2"),
                "format is version 2",
            ),
            (with("\"suite\":1", "\"suite\":9"), "suite 9"),
            (with("\"rounds\":3", "\"rounds\":\"3\""), "not a record"),
            (with("\"rounds\":3", "\"round\":3"), "not a record"),
            (with("00000010000", "<b>"), "not a commit"),
            (with("lua-64/p50", "lua-64/speed"), "lua-64/speed is not a figure"),
            (with("\"median\":2.0", "\"median\":-2.0"), "not in 0"),
            (with("\"median\":2.0", "\"median\":9.0"), "is not within"),
            (with("Do <one> thing", "Do\\u001b[2J"), "control character"),
        ] {
            let error = Record::from_json(&line).unwrap_err();
            assert!(error.contains(cause), "{error} for {line}");
        }
    }

    #[test]
    fn an_interval_says_how_often_it_contains_the_median() {
        let of = |count: u32| Middle::of(&(1..=count).map(f64::from).collect::<Vec<_>>()).unwrap();
        for (count, low, high, coverage) in [
            (1, 1.0, 1.0, 0.0),
            (2, 1.0, 2.0, 50.0),
            (5, 1.0, 5.0, 93.75),
            (6, 1.0, 6.0, 96.875),
            (9, 2.0, 8.0, 96.09375),
            (20, 6.0, 15.0, 95.861_053_466_797),
        ] {
            let middle = of(count);
            assert_eq!((middle.low, middle.high), (low, high), "{count}");
            assert!((middle.coverage_percent - coverage).abs() < 1e-9, "{middle:?}");
        }
        assert_eq!(Middle::of(&[]), None);
    }
}
