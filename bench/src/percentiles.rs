//! Latencies in HdrHistogram's percentile format, which its plotter and other tools read.
//!
//! Each line is a latency in milliseconds, the part of the calls that took no longer, how many those are, and
//! 1 / (1 - that part); the last line leaves that one out, because it is infinite.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 1, as HdrHistogram itself writes them.
const LINES_PER_HALVING: u32 = 5;

/// Nanoseconds in a millisecond.
const MILLISECOND: f64 = 1e6;

/// Writes a histogram of nanoseconds.
pub fn to_percentiles(latencies: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>14} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    // Writing to a String does not fail.
    for step in latencies.iter_quantiles(LINES_PER_HALVING) {
        count += step.count_since_last_iteration();
        let part = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / MILLISECOND;
        let _ = if part < 1.0 {
            writeln!(
                text,
                "{value:>14.6} {part:>14.12} {count:>10} {:>14.2}",
                1.0 / (1.0 - part)
            )
        } else {
            writeln!(text, "{value:>14.6} {part:>14.12} {count:>10}")
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.6}, StdDeviation   = {:>12.6}]",
        latencies.mean() / MILLISECOND,
        latencies.stdev() / MILLISECOND
    );
    let _ = writeln!(
        text,
        "#[Max     = {:>12.6}, Total count    = {:>12}]",
        latencies.max() as f64 / MILLISECOND,
        latencies.len()
    );
    let _ = writeln!(
        text,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        latencies.buckets(),
        // How HdrHistogram counts them: two of a digit's for each power of ten.
        (2 * 10u64.pow(u32::from(latencies.sigfig()))).next_power_of_two()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::histogram;

    #[test]
    fn the_lines_are_as_the_plotter_reads_them() {
        let mut latencies = histogram();
        for microseconds in 1..=10_000u64 {
            latencies.saturating_record(microseconds * 1_000);
        }
        let text = to_percentiles(&latencies);
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap().split_ascii_whitespace().collect::<Vec<_>>(),
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        assert_eq!(lines.next(), Some(""));
        let (mut value, mut part, mut count) = (0.0, -1.0, 0.0);
        let mut last = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.starts_with('#')) {
            let numbers: Vec<f64> = line
                .split_ascii_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            assert!(
                numbers[0] >= value && numbers[1] >= part && numbers[2] >= count,
                "{line}"
            );
            if let Some(inverse) = numbers.get(3) {
                assert!((inverse * (1.0 - numbers[1]) - 1.0).abs() < 0.01, "{line}");
            }
            (value, part, count) = (numbers[0], numbers[1], numbers[2]);
            // The latency with that part below it, to the histogram's three digits.
            assert!((value - (part * 10.0).max(0.001)).abs() <= 0.02, "{line}");
            last = numbers;
        }
        assert_eq!(last[1..], [1.0, 10_000.0]);
        assert!(text.contains("Total count    =        10000]"), "{text}");
    }

    #[test]
    fn no_calls_are_no_lines_and_no_fault() {
        let text = to_percentiles(&histogram());
        assert!(text.contains("Total count    =            0]"), "{text}");
    }
}
