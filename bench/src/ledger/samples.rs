//! The figures of a long run over time, by interval, as CSV and as a page with curves.

use std::fmt::Write as _;

use crate::html::escaped;

/// The figures of one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// When the interval ended, in seconds since the calls began.
    pub second: f64,
    /// Calls answered a second.
    pub calls_per_second: f64,
    /// Calls failed a second.
    pub failed_per_second: f64,
    /// Half of the calls that were answered took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of a hundred took no longer, in microseconds.
    pub p99_us: f64,
    /// Memory of the calling process, in bytes.
    pub caller_bytes: u64,
    /// Memory of the called processes, in bytes; 0 while there are none.
    pub callee_bytes: u64,
}

/// Most samples of a run, so that an interval is at least that part of it.
pub const SAMPLES_MAX: usize = 600;

/// Width and height of one diagram, in its own units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 200.0;

/// Bytes in a mebibyte.
const MEBIBYTE: f64 = (1u64 << 20) as f64;

/// One curve: its name, its colour, and its value of a sample.
type Curve = (&'static str, &'static str, fn(&Sample) -> f64);

/// The diagrams of a page: title, unit, curves.
const DIAGRAMS: [(&str, &str, &[Curve]); 3] = [
    (
        "Memory",
        "MiB",
        &[
            ("callers", "#1f6feb", |sample| {
                sample.caller_bytes as f64 / MEBIBYTE
            }),
            ("callees", "#d1242f", |sample| {
                sample.callee_bytes as f64 / MEBIBYTE
            }),
        ],
    ),
    (
        "Calls",
        "a second",
        &[
            ("answered", "#1f6feb", |sample| sample.calls_per_second),
            ("failed", "#d1242f", |sample| sample.failed_per_second),
        ],
    ),
    (
        "Latency",
        "ms",
        &[
            ("p50", "#1f6feb", |sample| sample.p50_us / 1_000.0),
            ("p99", "#d1242f", |sample| sample.p99_us / 1_000.0),
        ],
    ),
];

/// The samples as lines of comma-separated values, with a line of names first.
pub fn samples_csv(samples: &[Sample]) -> String {
    let mut text =
        String::from("second,calls_per_second,failed_per_second,p50_us,p99_us,caller_bytes,callee_bytes\n");
    for sample in samples {
        let _ = writeln!(
            text,
            "{:.1},{:.1},{:.1},{:.1},{:.1},{},{}",
            sample.second,
            sample.calls_per_second,
            sample.failed_per_second,
            sample.p50_us,
            sample.p99_us,
            sample.caller_bytes,
            sample.callee_bytes
        );
    }
    text
}

/// The samples as one HTML page without other files: a heading, lines of text, and the curves.
pub fn samples_page(title: &str, lines: &[String], samples: &[Sample]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>body \
         {{ font: 15px sans-serif; margin: 2em; max-width: 60em }} svg {{ width: 100% }} text {{ font: 12px \
         sans-serif }}</style></head>\n<body><h1>{title}</h1>\n",
        title = escaped(title)
    );
    for line in lines {
        let _ = writeln!(page, "<p>{}</p>", escaped(line));
    }
    for (title, unit, curves) in DIAGRAMS {
        page.push_str(&diagram(title, unit, curves, samples));
    }
    page.push_str("</body></html>\n");
    page
}

fn diagram(title: &str, unit: &str, curves: &[Curve], samples: &[Sample]) -> String {
    let highest = curves
        .iter()
        .flat_map(|(_, _, value)| samples.iter().map(value))
        .fold(1e-9, f64::max);
    let seconds = samples.last().map_or(1.0, |sample| sample.second.max(1e-9));
    let mut text = format!("<h2>{title}, {unit}</h2>\n<p>");
    for (name, colour, _) in curves {
        let _ = write!(text, "<span style=\"color:{colour}\">&#9632; {name}</span> ");
    }
    let _ = write!(
        text,
        "</p>\n<svg viewBox=\"-70 -12 {} {}\" role=\"img\" aria-label=\"{title}\">\n",
        WIDTH + 90.0,
        HEIGHT + 40.0
    );
    for part in 0..=4 {
        let (share, y) = (f64::from(part) / 4.0, HEIGHT * (1.0 - f64::from(part) / 4.0));
        let _ = writeln!(
            text,
            "<line x1=\"0\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"-8\" y=\"{}\" \
             text-anchor=\"end\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.0} s</text>",
            y + 4.0,
            tick(highest * share),
            WIDTH * share,
            HEIGHT + 18.0,
            seconds * share
        );
    }
    for (_, colour, value) in curves {
        let points: Vec<String> = samples
            .iter()
            .map(|sample| {
                let x = WIDTH * sample.second / seconds;
                let y = HEIGHT * (1.0 - value(sample) / highest);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    text.push_str("</svg>\n");
    text
}

/// A number at an axis, short.
fn tick(value: f64) -> String {
    match value {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 10_000.0 => format!("{middle:.0}"),
        large => format!("{:.0}k", large / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        (1..=3)
            .map(|second| Sample {
                second: f64::from(second),
                calls_per_second: 100.0,
                caller_bytes: 2 << 20,
                ..Sample::default()
            })
            .collect()
    }

    #[test]
    fn a_page_has_every_curve_and_takes_text_as_text() {
        let page = samples_page("1 < 2", &["a & b".to_owned()], &samples());
        assert_eq!(page.matches("<polyline").count(), 6);
        assert!(page.contains("1 &lt; 2") && page.contains("a &amp; b"));
        // The memory of the callers is the highest value, so its curve is at the top.
        assert!(
            page.contains("points=\"300.0,0.0 600.0,0.0 900.0,0.0\""),
            "{page}"
        );
        assert!(!samples_page("empty", &[], &[]).contains("NaN"));
    }

    #[test]
    fn a_sample_is_one_line() {
        let csv = samples_csv(&samples());
        assert_eq!(csv.lines().count(), 4);
        assert_eq!(csv.lines().nth(1), Some("1.0,100.0,0.0,0.0,0.0,2097152,0"));
    }
}
