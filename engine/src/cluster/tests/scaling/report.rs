//! The figures as a table of the book, and as curves.

use std::fmt::Write as _;

use super::phases::{MeshFigures, UseFigures};

type Row = (MeshFigures, UseFigures);

/// The table, in Markdown.
pub(super) fn table(rows: &[Row]) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    let mut line = |title: &str, of: &dyn Fn(&Row) -> String| {
        lines.push((title.to_owned(), rows.iter().map(of).collect()));
    };
    line("**full mesh**: connections of a node", &|(mesh, _)| {
        count(mesh.connections as f64)
    });
    line("all have met after", &|(mesh, _)| format!("{:.1} s", mesh.met_s));
    line("bytes of a connection until all have met", &|(mesh, _)| {
        count(mesh.connect_bytes)
    });
    line("heartbeat frames of a node, a second", &|(mesh, _)| {
        count(mesh.frames_per_s)
    });
    line("their bytes, without the headers of TCP", &|(mesh, _)| {
        count(mesh.bytes_per_s)
    });
    line("frames of the cluster, a second", &|(mesh, _)| {
        // Each is sent by one and received by another.
        count(mesh.frames_per_s * mesh.nodes as f64 / 2.0)
    });
    line("processor time, idle", &|(mesh, _)| {
        format!("{:.2} %", mesh.idle_processor_percent)
    });
    line("half lost: known after", &|(mesh, _)| {
        format!("{:.2} s", mesh.known_down_s)
    });
    line("attempts to reach them, a second", &|(mesh, _)| {
        count(mesh.attempts_per_s)
    });
    line("processor time, half lost", &|(mesh, _)| {
        format!("{:.2} %", mesh.parted_processor_percent)
    });
    line("back: all have met after", &|(mesh, _)| {
        format!("{:.1} s", mesh.met_again_s)
    });
    line("**on use**: connections of a node", &|(_, used)| {
        count(used.connections)
    });
    line("connects of a node, a second", &|(_, used)| {
        format!("{:.1}", used.connects_per_s)
    });
    line("frames of a node, a second", &|(_, used)| {
        count(used.frames_per_s)
    });
    line("their bytes", &|(_, used)| count(used.bytes_per_s));
    line("processor time", &|(_, used)| {
        format!("{:.2} %", used.processor_percent)
    });
    let mut table = String::from("| nodes |");
    for (mesh, _) in rows {
        let _ = write!(table, " {} |", count(mesh.nodes as f64));
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(rows.len()));
    for (title, cells) in lines {
        let _ = write!(table, "\n| {title} | {} |", cells.join(" | "));
    }
    table
}

/// A whole number with commas.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// What a curve shows of a row.
type Shown = dyn Fn(&Row) -> f64;

/// The frames and connections of a node over the number of nodes, both axes by powers of ten.
pub(super) fn svg(rows: &[Row]) -> String {
    let curves: [(&str, &str, &Shown); 4] = [
        ("frames a second, full mesh", "#c0392b", &|(mesh, _)| {
            mesh.frames_per_s
        }),
        ("connections, full mesh", "#e67e22", &|(mesh, _)| {
            mesh.connections as f64
        }),
        ("frames a second, on use", "#2471a3", &|(_, used)| {
            used.frames_per_s
        }),
        ("connections, on use", "#17a589", &|(_, used)| used.connections),
    ];
    let values: Vec<f64> = rows
        .iter()
        .flat_map(|row| curves.iter().map(move |(_, _, of)| of(row)))
        .collect();
    let power = |value: f64| value.max(1.0).log10();
    let most = values.iter().copied().map(power).fold(1.0, f64::max).ceil();
    let numbers: Vec<f64> = rows.iter().map(|(mesh, _)| power(mesh.nodes as f64)).collect();
    let (first, last) = (numbers.first().copied(), numbers.last().copied());
    let (first, last) = (first.unwrap_or(0.0).floor(), last.unwrap_or(1.0).ceil());
    let x = |power: f64| LEFT + (power - first) / (last - first).max(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |power: f64| HEIGHT - BOTTOM - power / most * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\">\n<title>Frames and connections of a node as the cluster grows</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for mark in 0..=most as i32 {
        let at = y(f64::from(mark));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            count(10f64.powi(mark))
        );
    }
    for mark in first as i32..=last as i32 {
        let at = x(f64::from(mark));
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{:.1}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
            count(10f64.powi(mark))
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">nodes</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0
    );
    for (place, (title, colour, of)) in curves.iter().enumerate() {
        let points: Vec<String> = rows
            .iter()
            .map(|row| format!("{:.1},{:.1}", x(power(row.0.nodes as f64)), y(power(of(row)))))
            .collect();
        let key = LEFT + place as f64 * 165.0;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <path d=\"M{key:.1} 20h18\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"24\" font-size=\"11\">{title}</text>",
            points.join(" "),
            key + 22.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}
