//! A figure over revisions as a small SVG: a dot with its interval for each, and a line where it changed. It is readable at
//! half the width of a page and on a phone.

use std::fmt::Write as _;

use super::series::{FigureHistory, RevisionFigure, RevisionHistory};
use super::text::{interval, number};
use crate::html::escaped;

/// Size of the drawing, and the margins around its plot.
const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 28.0;

/// The part of the range that stays free above the greatest value and below the least.
const FREE: f64 = 0.12;

/// Characters that a revision's name takes, in the drawing's unit.
const NAME_WIDTH: f64 = 56.0;

/// The drawing of a figure.
pub(super) fn chart(figure: &FigureHistory, revisions: &[RevisionHistory]) -> String {
    let (from, to) = range(figure);
    let x = |index: usize| {
        // A single revision is in the middle.
        let part = (index as f64 + 0.5) / revisions.len().max(1) as f64;
        LEFT + part * (WIDTH - LEFT - RIGHT)
    };
    let y = |value: f64| HEIGHT - BOTTOM - (value - from) / (to - from) * (HEIGHT - TOP - BOTTOM);
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}\">\n",
        figure.case, figure.title
    );
    // Writing to a String does not fail.
    let at = |part: f64| from + (to - from) * (FREE + part * (1.0 - 2.0 * FREE));
    let mut shown = String::new();
    for value in [0.5, 0.0, 1.0].map(at) {
        // Values that are as good as equal need one mark.
        if number(value) == shown {
            break;
        }
        shown = number(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{right}\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            number(value)
        );
    }
    for change in &figure.changes {
        let at = (x(change.revision) + x(change.revision.saturating_sub(1))) / 2.0;
        let _ = writeln!(
            svg,
            "<path class=\"change {}\" d=\"M{at:.1} {TOP}V{bottom}\"/>",
            if change.is_better { "better" } else { "worse" }
        );
    }
    for (index, recorded) in figure.revisions.iter().enumerate() {
        if let Some(recorded) = recorded {
            write_dot(&mut svg, (x(index), &y), recorded, &revisions[index].name);
        }
    }
    write_names(&mut svg, figure, revisions, &x);
    svg.push_str("</svg>\n");
    svg
}

/// The ends of the axis: the values with some room on both sides.
fn range(figure: &FigureHistory) -> (f64, f64) {
    let all = || figure.revisions.iter().flatten();
    let low = all().map(|recorded| recorded.low).fold(f64::INFINITY, f64::min);
    let high = all().map(|recorded| recorded.high).fold(0.0, f64::max);
    let low = if low.is_finite() { low } else { 0.0 };
    // Values that are as good as equal are not drawn as if they differed.
    let span = (high - low).max(high.abs() * 0.02).max(1e-6);
    let (middle, all) = (low.midpoint(high), span / (1.0 - 2.0 * FREE));
    (middle - all / 2.0, middle + all / 2.0)
}

fn write_dot(svg: &mut String, (x, y): (f64, &impl Fn(f64) -> f64), recorded: &RevisionFigure, name: &str) {
    let (low, high) = (y(recorded.low), y(recorded.high));
    let _ = writeln!(
        svg,
        "<g><title>{0}: {3} ({4})</title><path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}M{1:.1} {low:.1}h6M{1:.1} {high:.1}h6\"/>\
         <circle class=\"dot\" cx=\"{x:.1}\" cy=\"{2:.1}\" r=\"3.5\"/></g>",
        escaped(name),
        x - 3.0,
        y(recorded.median),
        number(recorded.median),
        interval(recorded),
    );
}

/// The names of the revisions: those where it changed, then the first and the last one, then the others, as far as there is room.
fn write_names(
    svg: &mut String,
    figure: &FigureHistory,
    revisions: &[RevisionHistory],
    x: &impl Fn(usize) -> f64,
) {
    let changed = figure.changes.iter().map(|change| change.revision);
    let ends = [0, revisions.len().saturating_sub(1)];
    let mut taken: Vec<f64> = Vec::new();
    for index in changed.chain(ends).chain(0..revisions.len()) {
        let Some(revision) = revisions.get(index) else {
            continue;
        };
        // Names at the edges stay within the drawing.
        let at = x(index).clamp(NAME_WIDTH / 2.0, WIDTH - NAME_WIDTH / 2.0);
        if taken.iter().any(|other| (other - at).abs() < NAME_WIDTH) {
            continue;
        }
        taken.push(at);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 9.0,
            escaped(&revision.name)
        );
    }
}
