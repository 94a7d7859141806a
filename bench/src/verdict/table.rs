//! Figures and verdicts as text.

use std::fmt::Write as _;

use super::finding::{FigureResult, Finding, Verdict};

/// The table of all figures, a line each after a heading. Those are marked that the machine alone can explain.
pub fn figure_table(figures: &[FigureResult], sides: (&str, &str), explained: &[String]) -> String {
    let width = |name: &str| name.chars().count().max(12) + 2;
    let (first, second) = (width(sides.0), width(sides.1));
    let mut table = format!(
        "{:<10}{:>first$}{:>second$}{:>9}  {:<20}\n",
        "", sides.0, sides.1, "ratio", "95 % interval"
    );
    for result in figures {
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "{:<10}{:>first$}{:>second$}{:>9.3}  {:<20}{}{}",
            result.figure.name(),
            result.figure.show(result.first),
            result.figure.show(result.second),
            result.ratio,
            interval_text(result),
            finding_text(result.finding),
            mark(result, explained)
        );
    }
    table
}

pub(crate) fn finding_text(finding: Finding) -> &'static str {
    match finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::NoDifference => "no difference",
        Finding::Unclear => "unclear",
    }
}

/// What stands behind a finding that the machine alone can explain.
pub(crate) fn mark(result: &FigureResult, explained: &[String]) -> &'static str {
    if explained.iter().any(|name| name == result.figure.name()) {
        ", explained by the machine"
    } else {
        ""
    }
}

pub(crate) fn interval_text(result: &FigureResult) -> String {
    match (result.low, result.high) {
        (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
        _ => "not known yet".to_owned(),
    }
}

/// The verdict as one line.
pub fn verdict_text(verdict: &Verdict, figures: &[FigureResult]) -> String {
    let found = |finding| {
        let names = figures.iter().filter(|result| result.finding == finding);
        let texts: Vec<String> = names
            .map(|result| format!("{} {:.3} x", result.figure.name(), result.ratio))
            .collect();
        texts.join(", ")
    };
    let (better, worse) = (found(Finding::Better), found(Finding::Worse));
    let but = |word: &str, others: &str| {
        if others.is_empty() {
            String::new()
        } else {
            format!("; {word}: {others}")
        }
    };
    match verdict {
        Verdict::Faster => format!("faster: {better}{}", but("worse", &worse)),
        Verdict::Slower => format!("slower: {worse}{}", but("better", &better)),
        Verdict::NoDifference { percent_max } => format!("no difference larger than {percent_max:.1} %"),
        Verdict::CannotTell {
            unrest_percent: Some(percent),
        } => format!("cannot tell: the machine's unrest is {percent:.1} %"),
        Verdict::CannotTell { unrest_percent: None } => {
            "cannot tell: nothing can be concluded from so few measurements".to_owned()
        }
    }
}
