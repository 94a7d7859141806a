//! The chart of latencies by percentile.

use hdrhistogram::Histogram;

use super::chart::{Axis, Chart, Line, Scale};
use crate::format::duration;
use crate::measurement::ChartData;

/// Points of a curve for each halving of the distance to 1.
const POINTS_PER_HALVING: u32 = 10;

/// The percentiles that are marked.
const MARKED: [(f64, &str); 5] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (1.0, "max"),
];

/// Latency over percentiles, beside that of the blocking echo.
pub(super) fn latency_chart(data: &ChartData) -> Chart {
    let mut lines = vec![curve("Skyring".to_owned(), "ours", &data.latencies)];
    if let Some(floor) = &data.floor {
        lines.push(curve("blocking TCP echo, 1 in flight".to_owned(), "floor", floor));
    }
    let all = || lines.iter().flat_map(|line| &line.points);
    let least = all().map(|(_, latency)| *latency).fold(f64::INFINITY, f64::min);
    let most = all().map(|(_, latency)| *latency).fold(1.0, f64::max);
    let nines = (data.latencies.len().max(10) as f64).log10();
    let marks = std::iter::once((0.0, "0".to_owned())).chain((1..=nines as i32).map(|nines| {
        let part = 1.0 - 10f64.powi(-nines);
        (part, percent(nines))
    }));
    let dots = MARKED.iter().filter(|(part, _)| {
        // Two marks at nearly the same place hide each other.
        *part == 1.0 || -(1.0 - part).log10() < nines - 0.25
    });
    Chart {
        title: "Latency by percentile",
        x: Axis {
            scale: Scale::Nines(nines),
            name: "percentile",
            marks: marks.collect(),
        },
        y: logarithmic("latency", if least.is_finite() { least } else { 1.0 }, most),
        dots: dots
            .map(|(part, name)| {
                let latency = at(&data.latencies, *part);
                (*part, latency, format!("{name} {}", duration(latency)))
            })
            .collect(),
        lines,
        band: None,
    }
}

/// The latency in microseconds at a quantile.
fn at(latencies: &Histogram<u64>, part: f64) -> f64 {
    latencies.value_at_quantile(part) as f64 / 1e3
}

fn curve(name: String, class: &'static str, latencies: &Histogram<u64>) -> Line {
    let steps = latencies.iter_quantiles(POINTS_PER_HALVING);
    Line {
        name,
        class,
        points: steps
            .map(|step| (step.quantile_iterated_to(), step.value_iterated_to() as f64 / 1e3))
            .collect(),
        is_filled: false,
    }
}

/// An axis of microseconds by powers of ten around all that is shown.
fn logarithmic(name: &'static str, least: f64, most: f64) -> Axis {
    let from = least.max(0.1).log10().floor() as i32;
    let to = (most.max(0.2).log10().ceil() as i32).max(from + 1);
    Axis {
        scale: Scale::Log(10f64.powi(from), 10f64.powi(to)),
        name,
        marks: (from..=to)
            .map(|power| {
                let microseconds = 10f64.powi(power);
                let (number, unit) = match power {
                    ..=2 => (microseconds, "us"),
                    3..=5 => (microseconds / 1e3, "ms"),
                    _ => (microseconds / 1e6, "s"),
                };
                (microseconds, format!("{number} {unit}"))
            })
            .collect(),
    }
}

/// 90 % for one nine, 99.9 % for three.
fn percent(nines: i32) -> String {
    let places = (nines - 2).max(0) as usize;
    format!("{:.places$}", 100.0 - 10f64.powi(2 - nines))
}
