//! A comparison as one page: the verdict, every figure with its interval, the machine's unrest, what changed.

use std::fmt::Write as _;

use super::page::{escaped, head};
use crate::ab::{AbProfile, AbResult};
use crate::compare::Comparison;
use crate::profile::Changes;
use crate::unrest::Unrest;
use crate::verdict::{FigureResult, Verdict, finding_text, interval_text, mark};

/// The size of the drawing of an interval.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 20.0;

/// The drawings show at least this ratio on either side of 1, and at most that one.
const RATIO_MIN: f64 = 1.02;
const RATIO_MAX: f64 = 4.0;

impl AbResult {
    /// The page.
    pub fn to_html(&self) -> String {
        let [first, second] = &self.sides;
        let mut page = verdict_head(&self.verdict, &self.text);
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "<dl class=\"wide\">\n<div><dt>A</dt><dd>{}</dd></div>\n<div><dt>B</dt><dd>{}</dd></div>\n</dl>\n<p>{}</p>",
            escaped(first),
            escaped(second),
            escaped(&self.effort())
        );
        write_figures(&mut page, &self.figures, ("A", "B"), &self.unrest.explains);
        if let Some(warning) = self.unrest.warning() {
            let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(&warning));
        }
        if let Some(profile) = &self.profile {
            profile.write(&mut page);
        }
        write_unrest(&mut page, &self.unrest);
        let machine = &self.machine;
        let _ = writeln!(
            page,
            "<h2>Machine</h2>\n<p>{} x {}; {}, {}; Skyring {}</p>",
            machine.processors,
            escaped(&machine.processor),
            escaped(&machine.kernel),
            escaped(&machine.architecture),
            escaped(&machine.skyring)
        );
        page.push_str(
            "<footer>Made by <code>skyring bench ab --html</code>.</footer>\n</main></body></html>\n",
        );
        page
    }
}

impl Comparison {
    /// The page.
    pub fn to_html(&self) -> String {
        let sides = self.names();
        let mut page = verdict_head(&self.verdict, &self.text);
        write_figures(&mut page, &self.figures, sides, &[]);
        if !self.not_alike.is_empty() {
            page.push_str("<h2>Not alike</h2>\n<ul>\n");
            for difference in &self.not_alike {
                let _ = writeln!(page, "<li>{}</li>", escaped(difference));
            }
            page.push_str("</ul>\n");
        }
        page.push_str(
            "<footer>Made by <code>skyring bench compare --html</code>.</footer>\n</main></body></html>\n",
        );
        page
    }
}

impl AbProfile {
    fn write(&self, page: &mut String) {
        let [first, second] = self.samples;
        let _ = writeln!(
            page,
            "<h2>What changed most</h2>\n<p>Own processor time of functions, in {} s of each side ({first} and {second} \
             samples), measured after the verdict. The graph that <code>--flamegraph</code> wrote shows where they are \
             called.</p>",
            self.seconds
        );
        write_changes(page, &self.processor);
        if let Some(waiting) = &self.waiting {
            page.push_str(
                "<h2>Where threads wait</h2>\n<p>Time in which threads do not run, by the function that waits.</p>\n",
            );
            write_changes(page, waiting);
        }
        if let Some(missing) = &self.waiting_missing {
            let _ = writeln!(
                page,
                "<p>Where threads wait is not known: {}</p>",
                escaped(missing)
            );
        }
    }
}

fn verdict_head(verdict: &Verdict, text: &str) -> String {
    let mut page = head("Skyring, compared");
    let class = match verdict {
        Verdict::Faster => " class=\"good\"",
        Verdict::Slower => " class=\"bad\"",
        Verdict::NoDifference { .. } | Verdict::CannotTell { .. } => "",
    };
    let _ = writeln!(page, "<h1{class}>{}</h1>", escaped(text));
    page
}

/// The table of all figures with the same numbers as in the text, and a drawing of each interval around 1.
fn write_figures(page: &mut String, figures: &[FigureResult], sides: (&str, &str), explained: &[String]) {
    let ends = figures.iter().flat_map(|result| {
        [
            result.low.unwrap_or(result.ratio),
            result.high.unwrap_or(result.ratio),
        ]
    });
    let farthest = ends
        .filter(|end| *end > 0.0 && end.is_finite())
        .map(|end| end.ln().abs());
    let span = farthest.fold(RATIO_MIN.ln(), f64::max).min(RATIO_MAX.ln());
    let _ = writeln!(
        page,
        "<div class=\"scroll\"><table><tr><th></th><th>{}</th><th>{}</th><th>ratio</th><th>95 % interval</th>\
         <th class=\"interval\">{:.3} to {:.3}</th><th></th></tr>",
        escaped(sides.0),
        escaped(sides.1),
        (-span).exp(),
        span.exp()
    );
    for result in figures {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{}</td><td class=\"interval\">{}</td>\
             <td class=\"finding\">{}{}</td></tr>",
            result.figure.name(),
            result.figure.show(result.first),
            result.figure.show(result.second),
            result.ratio,
            interval_text(result),
            interval_svg(result, span),
            finding_text(result.finding),
            mark(result, explained)
        );
    }
    page.push_str("</table></div>\n");
}

/// A line from end to end with a dot at the ratio, and a mark at 1, on a logarithmic scale.
fn interval_svg(result: &FigureResult, span: f64) -> String {
    let place = |ratio: f64| {
        let part = if ratio > 0.0 { ratio.ln() / span } else { -1.0 };
        WIDTH / 2.0 * (1.0 + part.clamp(-1.0, 1.0) * 0.97)
    };
    let middle = HEIGHT / 2.0;
    let line = result
        .low
        .zip(result.high)
        .map_or_else(String::new, |(low, high)| {
            format!(
                "<path class=\"curve\" d=\"M{:.1} {middle}H{:.1}\"/>",
                place(low),
                place(high)
            )
        });
    let dot = if result.ratio.is_finite() {
        format!(
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{middle}\" r=\"4\"/>",
            place(result.ratio)
        )
    } else {
        String::new()
    };
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><path class=\"one\" d=\"M{} 0V{HEIGHT}\"/>{line}{dot}</svg>",
        interval_text(result),
        WIDTH / 2.0
    )
}

fn write_changes(page: &mut String, changes: &Changes) {
    let largest = changes.functions.iter().map(|function| function.change().abs());
    let largest = largest.fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(
        page,
        "<div class=\"scroll\"><table><tr><th>{}</th><th>before</th><th>after</th><th>change</th><th></th>\
         <th>with callees</th></tr>",
        changes.unit()
    );
    let bars = changes.functions.iter().map(|function| Some(function.change()));
    let rows = changes
        .rows()
        .into_iter()
        .zip(bars.chain(std::iter::repeat(None)));
    for (([before, after, change, with_callees], name), own) in rows {
        let bar = own.map_or_else(String::new, |own| {
            let class = if own > 0.0 { "more" } else { "less" };
            format!(
                "<div class=\"{class}\" style=\"width:{:.1}%\"></div>",
                own.abs() / largest * 100.0
            )
        });
        let _ = writeln!(
            page,
            "<tr><td class=\"name\">{}</td><td>{before}</td><td>{after}</td><td>{change}</td><td class=\"bar\">{bar}</td>\
             <td>{with_callees}</td></tr>",
            escaped(name)
        );
    }
    page.push_str("</table></div>\n");
}

fn write_unrest(page: &mut String, unrest: &Unrest) {
    let _ = writeln!(
        page,
        "<h2>Unrest of the machine</h2>\n<p>{}</p>\n<div class=\"scroll\"><table class=\"narrow\"><tr><th>a loop that reads the \
         clock was away for at least</th><th>times a second, on each processor</th></tr>",
        escaped(&unrest.summary())
    );
    for gap in &unrest.gaps {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:.2}</td></tr>",
            crate::format::duration(gap.us),
            gap.per_second
        );
    }
    page.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare;
    use crate::machine::Machine;
    use crate::measurement::tests::measurement;
    use crate::profile::FunctionChange;
    use crate::unrest::Gap;
    use crate::verdict::{Figure, Finding};

    fn result() -> AbResult {
        let figure = |figure, first: f64, ratio: f64, finding| FigureResult {
            figure,
            first,
            second: first * ratio,
            ratio,
            low: Some(ratio * 0.99),
            high: Some(ratio * 1.01),
            spread_percent: 2.0,
            finding,
        };
        AbResult {
            verdict: Verdict::Slower,
            text: "slower: calls/s 0.901 x".to_owned(),
            figures: vec![
                figure(Figure::CallsPerSecond, 1_234_567.0, 0.901, Finding::Worse),
                figure(Figure::P99, 4_321.0, 1.05, Finding::Unclear),
                FigureResult {
                    low: None,
                    high: None,
                    ..figure(Figure::P999, 9_876.0, f64::NAN, Finding::Unclear)
                },
            ],
            main: Figure::CallsPerSecond,
            margin_percent: 2.0,
            pairs: 30,
            starts: 6,
            has_windows: true,
            window_seconds: 0.1,
            seconds: 8.4,
            seed: 7,
            sides: ["old <b>".to_owned(), "new".to_owned()],
            machine: Machine::default(),
            unrest: Unrest {
                away_percent: 1.25,
                away_us_max: 777.0,
                gaps: vec![Gap {
                    us: 10.0,
                    per_second: 12.34,
                }],
                explains: vec!["p99".to_owned()],
                ..Unrest::default()
            },
            profile: Some(AbProfile {
                seconds: 10.0,
                calls: [1, 2],
                samples: [4_567, 5_678],
                processor: Changes {
                    is_per_call: true,
                    before: 460.0,
                    after: 512.5,
                    functions: vec![
                        FunctionChange {
                            name: "a::b<C>".to_owned(),
                            before: 1.0,
                            after: 43.3,
                            with_callees_before: 2.0,
                            with_callees_after: 52.6,
                        },
                        FunctionChange {
                            name: "write".to_owned(),
                            before: 30.0,
                            after: 28.5,
                            with_callees_before: 99.0,
                            with_callees_after: 98.0,
                        },
                    ],
                },
                waiting: Some(Changes {
                    is_per_call: true,
                    before: 777.0,
                    after: 888.0,
                    functions: Vec::new(),
                }),
                waiting_missing: Some("error 4711".to_owned()),
            }),
        }
    }

    /// The text of a page without its elements.
    fn words(page: &str) -> Vec<String> {
        let body = page.split_once("</style>").unwrap().1;
        let texts = body
            .split('<')
            .filter_map(|part| part.split_once('>').map(|(_, text)| text));
        let text = texts.collect::<Vec<_>>().join(" ");
        let text = text
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_page_has_every_number_of_the_text() {
        let result = result();
        let page = result.to_html();
        let words = words(&page);
        for word in result.to_text().split_whitespace() {
            let is_number = word.contains(|character: char| character.is_ascii_digit());
            assert!(
                !is_number || words.iter().any(|other| other == word),
                "no {word} in {page}"
            );
        }
        for outside in [
            "http", "<script", "<link", "url(", "NaN\"", "inf\"", "old <b>", "b<C>",
        ] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
        assert!(page.contains("unclear, explained by the machine"), "{page}");
    }

    #[test]
    fn a_comparison_of_files_has_every_number_of_its_text() {
        let (first, mut second) = (vec![measurement(); 6], vec![measurement(); 6]);
        second[0].in_flight = 99;
        let comparison = compare(("<a>", &first), ("b", &second), Figure::CallsPerSecond, 2.0);
        let page = comparison.to_html();
        let words = words(&page);
        for word in comparison.to_text().split_whitespace() {
            let is_number = word.contains(|character: char| character.is_ascii_digit());
            assert!(
                !is_number || words.iter().any(|other| other == word),
                "no {word} in {page}"
            );
        }
        assert!(
            page.contains("&lt;a&gt;") && page.contains("in flight: 4, and 99"),
            "{page}"
        );
    }
}
