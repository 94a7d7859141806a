//! What a comparison found: each figure's ratio with its interval, and the verdict.

use serde::Serialize;

use super::figure::Figure;
use crate::statistics::Interval;

/// The chance of any wrong `better` or `worse` among all figures of a comparison.
pub const ERROR_RATE: f64 = 0.05;

/// What is found about one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Its interval is on the good side of 1.
    Better,
    /// Its interval is on the bad side of 1.
    Worse,
    /// Its interval contains 1 and ends within the margin.
    NoDifference,
    /// None of these.
    Unclear,
}

/// One figure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FigureResult {
    /// Which.
    pub figure: Figure,
    /// The median of the first side.
    pub first: f64,
    /// The median of the second side.
    pub second: f64,
    /// Second to first: the median of the pairs' ratios, or the Hodges-Lehmann estimate.
    pub ratio: f64,
    /// The lower end of its interval; `None` when there is not enough to know one.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// How much the ratio differs from pair to pair, or from run to run, in percent: a robust standard deviation.
    pub spread_percent: f64,
    /// What that means.
    pub finding: Finding,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The second side is better.
    Faster,
    /// The second side is worse.
    Slower,
    /// They differ by no more than this in the main figure.
    NoDifference {
        /// Percent.
        percent_max: f64,
    },
    /// The measurements do not say.
    CannotTell {
        /// By how much the main figure differs from time to time, in percent; `None` when that is not known.
        unrest_percent: Option<f64>,
    },
}

/// The part of [`ERROR_RATE`] that a figure has (Bonferroni's correction, weighted: the main figure has one half, the
/// others share the rest). So all intervals together are wrong no more often than that.
pub(super) fn error_rate(figure: Figure, main: Figure) -> f64 {
    if figure == main {
        ERROR_RATE / 2.0
    } else {
        ERROR_RATE / 2.0 / (Figure::ALL.len() - 1) as f64
    }
}

/// By how much, at most, the ratio differs from 1, in percent.
pub(super) fn difference_percent_max(ratio: &Interval) -> f64 {
    // Upward and downward alike: half as much is as far from 1 as twice as much.
    ratio.high.ln().max(-ratio.low.ln()).exp_m1() * 100.0
}

pub(super) fn finding(figure: Figure, ratio: &Interval, margin_percent: f64) -> Finding {
    let (is_less, is_greater) = (ratio.high < 1.0, ratio.low > 1.0);
    match (is_less, is_greater) {
        (false, false) if difference_percent_max(ratio) <= margin_percent => Finding::NoDifference,
        (false, false) => Finding::Unclear,
        (_, is_greater) if is_greater == figure.is_better_when_greater() => Finding::Better,
        _ => Finding::Worse,
    }
}

impl FigureResult {
    pub(super) fn interval(&self) -> Interval {
        Interval {
            low: self.low.unwrap_or(0.0),
            high: self.high.unwrap_or(f64::INFINITY),
        }
    }
}

/// The verdict over all figures: that of the main figure if it is better or worse. If it is not, any figure that is
/// worse makes the second side slower, and any that is better, with none worse, makes it faster.
pub(super) fn verdict(figures: &[FigureResult], main: Figure) -> Verdict {
    let main = figures.iter().find(|result| result.figure == main);
    let any = |finding| figures.iter().any(|result| result.finding == finding);
    match main.map(|main| main.finding) {
        Some(Finding::Better) => Verdict::Faster,
        Some(Finding::Worse) => Verdict::Slower,
        _ if any(Finding::Worse) => Verdict::Slower,
        _ if any(Finding::Better) => Verdict::Faster,
        Some(Finding::NoDifference) => Verdict::NoDifference {
            percent_max: main.map_or(f64::INFINITY, |main| difference_percent_max(&main.interval())),
        },
        _ => Verdict::CannotTell {
            unrest_percent: main
                .map(|main| main.spread_percent)
                .filter(|spread| spread.is_finite()),
        },
    }
}

impl Verdict {
    /// The exit code of a command that found it: 0, or 3 for slower, or 4 when the measurements do not say.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Faster | Verdict::NoDifference { .. } => 0,
            Verdict::Slower => 3,
            Verdict::CannotTell { .. } => 4,
        }
    }
}
