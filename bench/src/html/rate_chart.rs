//! The chart of calls a second over time.

use super::chart::{Chart, Line, Scale, linear};
use crate::measurement::{ChartData, Settings};

/// Answered calls a second over time, beside the rate of an open loop.
pub(super) fn rate_chart(data: &ChartData, settings: &Settings) -> Chart {
    let mut points: Vec<_> = data
        .rates
        .iter()
        .map(|rate| (rate.seconds, rate.calls_per_second))
        .collect();
    // A figure is of the interval before it, and so is the first.
    if let Some((_, first)) = points.first().copied() {
        points.insert(0, (0.0, first));
    }
    let most = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let end = points.last().map_or(1.0, |(seconds, _)| *seconds);
    let warm_up = settings.warmup_seconds;
    let mut x = linear("seconds", end, |mark| format!("{mark}"));
    x.scale = Scale::Linear(0.0, end);
    x.marks.retain(|(mark, _)| *mark <= end);
    let mut lines = vec![Line {
        name: "answered".to_owned(),
        class: "ours",
        points,
        is_filled: true,
    }];
    if let Some(rate) = settings.rate {
        lines.push(Line {
            name: "wanted".to_owned(),
            class: "wanted",
            points: vec![(0.0, rate), (end, rate)],
            is_filled: false,
        });
    }
    Chart {
        title: "Calls a second over time",
        x,
        y: linear("calls/s", most.max(settings.rate.unwrap_or(0.0)) * 1.05, short),
        lines,
        band: (warm_up > 0.0).then_some((0.0, warm_up, "warm-up")),
        dots: Vec::new(),
    }
}

/// A rate, short enough for an axis.
fn short(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{} M", (rate / 1e4).round() / 100.0),
        rate if rate >= 1e3 => format!("{} k", (rate / 1e1).round() / 100.0),
        rate => format!("{rate}"),
    }
}
