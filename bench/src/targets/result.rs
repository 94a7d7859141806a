//! The result of a target: two figures, their ratio, and the limit of the ratio.

use serde::Serialize;

use super::target::Target;

/// The limit of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
}

/// The result of one part of a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetResult {
    /// The name of the target.
    pub target: &'static str,
    /// The part of it.
    pub what: String,
    /// Skyring's figure, with its unit.
    pub figure: String,
    /// The figure that it is compared with.
    pub floor: String,
    /// The first divided by the second.
    pub ratio: f64,
    /// The limit of the ratio.
    pub wanted: Wanted,
    /// Whether the ratio meets it.
    pub met: bool,
}

impl Wanted {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Wanted::AtLeast(least) => ratio >= least,
            Wanted::AtMost(most) => ratio <= most,
        }
    }
}

impl TargetResult {
    pub(super) fn new(
        target: Target,
        what: &str,
        (figure, floor): (String, String),
        ratio: f64,
        wanted: Wanted,
    ) -> TargetResult {
        TargetResult {
            target: target.name(),
            what: what.to_owned(),
            figure,
            floor,
            ratio,
            wanted,
            met: wanted.is_met_by(ratio),
        }
    }
}

/// All results as one JSON array on one line.
pub fn results_json(results: &[TargetResult]) -> String {
    // Cannot fail: all keys are texts.
    serde_json::to_string(results).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_meets_its_limit_or_misses_it() {
        assert!(Wanted::AtLeast(0.9).is_met_by(0.9) && !Wanted::AtLeast(0.9).is_met_by(0.89));
        assert!(Wanted::AtMost(3.0).is_met_by(3.0) && !Wanted::AtMost(3.0).is_met_by(3.01));
        assert!(!Wanted::AtMost(3.0).is_met_by(f64::NAN) && !Wanted::AtLeast(0.0).is_met_by(f64::NAN));
    }

    #[test]
    fn results_are_json() {
        let result = TargetResult::new(
            Target::HalfRate,
            "p99",
            ("3 us".to_owned(), "1 us".to_owned()),
            3.5,
            Wanted::AtMost(3.0),
        );
        let json = results_json(&[result]);
        assert_eq!(
            json,
            r#"[{"target":"half-rate","what":"p99","figure":"3 us","floor":"1 us","ratio":3.5,"wanted":{"at_most":3.0},"met":false}]"#
        );
    }
}
