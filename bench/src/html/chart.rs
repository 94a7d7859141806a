//! A chart as SVG: two axes and some lines.

use std::fmt::Write as _;

/// Size of a chart, and of the margins around its plot.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;

/// Marks of a linear axis, about.
const MARKS: f64 = 5.0;

/// The mapping from values to places.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// Evenly, from the first to the second.
    Linear(f64, f64),
    /// By powers of ten, from the first to the second.
    Log(f64, f64),
    /// Parts of a whole with equal distances between 0, 0.9, 0.99 and so on; so many nines.
    Nines(f64),
}

/// An axis: its scale, its name and its marks.
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) name: &'static str,
    pub(super) marks: Vec<(f64, String)>,
}

/// A line through points, in the order of x.
pub(super) struct Line {
    pub(super) name: String,
    /// Its class in the style sheet, beside `curve`.
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the area below is filled.
    pub(super) is_filled: bool,
}

/// A chart.
pub(super) struct Chart {
    /// The text for screen readers.
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// A part of the x axis that is shaded, and why.
    pub(super) band: Option<(f64, f64, &'static str)>,
    /// Marked points, with their labels.
    pub(super) dots: Vec<(f64, f64, String)>,
}

impl Scale {
    /// Where a value is: 0 at the beginning, 1 at the end.
    fn place(self, value: f64) -> f64 {
        let part = match self {
            Scale::Linear(from, to) => (value - from) / (to - from),
            Scale::Log(from, to) => (value.max(from).log10() - from.log10()) / (to.log10() - from.log10()),
            Scale::Nines(nines) => -(1.0 - value).max(10f64.powf(-nines)).log10() / nines,
        };
        if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// A linear axis from 0 to at least `max`, with round marks.
pub(super) fn linear(name: &'static str, max: f64, show: impl Fn(f64) -> String) -> Axis {
    let max = if max > 0.0 { max } else { 1.0 };
    let rough = max / MARKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let steps = (max / step).ceil() as usize;
    Axis {
        scale: Scale::Linear(0.0, step * steps as f64),
        name,
        marks: (0..=steps)
            .map(|mark| (mark as f64 * step, show(mark as f64 * step)))
            .collect(),
    }
}

impl Chart {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// The chart as an element of a page.
    pub(super) fn to_svg(&self) -> String {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let mut svg = format!(
            "<svg class=\"wide\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\n",
            self.title
        );
        // Writing to a String does not fail.
        if let Some((from, to, name)) = self.band {
            let (from, to) = (self.x(from), self.x(to));
            let _ = writeln!(
                svg,
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                to - from,
                bottom - TOP,
                from + 6.0,
                bottom - 8.0
            );
        }
        for (value, text) in &self.y.marks {
            let y = self.y(*value);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        for (value, text) in &self.x.marks {
            let x = self.x(*value);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text x=\"{x:.1}\" y=\"{}\" \
                 text-anchor=\"middle\">{text}</text>",
                bottom + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"8\" y=\"16\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            self.x.name,
            self.y.name
        );
        for line in &self.lines {
            self.write_line(&mut svg, line);
        }
        for (x, y, text) in &self.dots {
            let (x, y) = (self.x(*x), self.y(*y));
            // Near the right edge the text is to the left of its dot.
            let (anchor, shift) = if x > right - 90.0 {
                ("end", -9.0)
            } else {
                ("start", 8.0)
            };
            let _ = writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/><text class=\"mark\" x=\"{:.1}\" \
                 y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                x + shift,
                y + if anchor == "end" { -8.0 } else { 16.0 }
            );
        }
        self.write_key(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn write_line(&self, svg: &mut String, line: &Line) {
        let mut path = String::new();
        for (place, (x, y)) in line.points.iter().enumerate() {
            let command = if place == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*x), self.y(*y));
        }
        if let (true, Some((first, _)), Some((last, _))) =
            (line.is_filled, line.points.first(), line.points.last())
        {
            let bottom = HEIGHT - BOTTOM;
            let _ = writeln!(
                svg,
                "<path class=\"area\" d=\"{path}L{:.1} {bottom}L{:.1} {bottom}Z\"/>",
                self.x(*last),
                self.x(*first)
            );
        }
        let _ = writeln!(svg, "<path class=\"curve {}\" d=\"{path}\"/>", line.class);
    }

    /// Writes the legend, if there are several lines.
    fn write_key(&self, svg: &mut String) {
        if self.lines.len() < 2 {
            return;
        }
        let mut x = LEFT + 110.0;
        for line in &self.lines {
            let _ = writeln!(
                svg,
                "<path class=\"curve key {}\" d=\"M{x:.1} 12h26\"/><text x=\"{:.1}\" y=\"16\">{}</text>",
                line.class,
                x + 33.0,
                line.name
            );
            x += 62.0 + 6.6 * line.name.chars().count() as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_within_the_plot_whatever_the_value() {
        for scale in [
            Scale::Linear(0.0, 10.0),
            Scale::Log(1.0, 1e6),
            Scale::Nines(5.0),
            Scale::Linear(0.0, 0.0),
        ] {
            for value in [-1.0, 0.0, 0.5, 1.0, 9.9, 1e300, f64::INFINITY, f64::NAN] {
                let place = scale.place(value);
                assert!((0.0..=1.0).contains(&place), "{scale:?} puts {value} at {place}");
            }
        }
        assert!((Scale::Nines(4.0).place(0.99) - 0.5).abs() < 1e-9);
        assert!((Scale::Log(1.0, 100.0).place(10.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_linear_axis_has_round_marks_up_to_its_end() {
        for (max, count, last) in [
            (1_520_000.0, 5, "2000000"),
            (7.0, 5, "8"),
            (0.0, 6, "1"),
            (1_000.0, 6, "1000"),
        ] {
            let axis = linear("", max, |mark| format!("{mark:.0}"));
            assert_eq!(
                (axis.marks.len(), axis.marks.last().map(|(_, text)| text.as_str())),
                (count, Some(last)),
                "{max}"
            );
        }
    }
}
