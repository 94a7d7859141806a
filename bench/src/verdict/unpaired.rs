//! The comparison of two sets of results that were not measured in pairs.

use super::figure::Figure;
use super::finding::{FigureResult, Verdict, error_rate, finding, verdict};
use crate::measurement::Measurement;
use crate::median::median;
use crate::statistics::{robust_deviation, shift_interval};

/// Every figure of both sets, with the interval of the rank-sum test, and the verdict over the second one. One result on
/// a side has no spread, and then nothing can be concluded.
pub fn compare_unpaired(
    first: &[Measurement],
    second: &[Measurement],
    main: Figure,
    margin_percent: f64,
) -> (Vec<FigureResult>, Verdict) {
    let figures: Vec<FigureResult> = Figure::ALL
        .into_iter()
        .filter_map(|figure| result(figure, first, second, main, margin_percent))
        .collect();
    let verdict = verdict(&figures, main);
    (figures, verdict)
}

fn result(
    figure: Figure,
    first: &[Measurement],
    second: &[Measurement],
    main: Figure,
    margin_percent: f64,
) -> Option<FigureResult> {
    // A figure that is not known is 0.
    let values = |measured: &[Measurement]| -> Vec<f64> {
        let values = measured.iter().map(|measured| figure.of(measured));
        values.filter(|value| *value > 0.0).collect()
    };
    let (first, second) = (values(first), values(second));
    let logarithms = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
    let (first_logarithms, second_logarithms) = (logarithms(&first), logarithms(&second));
    let shift = shift_interval(&first_logarithms, &second_logarithms, error_rate(figure, main))?;
    let interval = shift.interval.exp();
    // The spread of a ratio of two results, whose errors add up.
    let spread = [&first_logarithms, &second_logarithms].map(|logarithms| {
        if logarithms.len() < 2 {
            f64::NAN
        } else {
            robust_deviation(logarithms)
        }
    });
    Some(FigureResult {
        figure,
        first: median(first),
        second: median(second),
        ratio: shift.estimate.exp(),
        low: Some(interval.low).filter(|low| *low > 0.0),
        high: Some(interval.high).filter(|high| high.is_finite()),
        spread_percent: spread[0].hypot(spread[1]).exp_m1() * 100.0,
        finding: finding(figure, &interval, margin_percent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;
    use crate::verdict::Finding;

    /// Results whose calls a second are those numbers.
    fn results(rates: &[f64]) -> Vec<Measurement> {
        let rates = rates.iter().map(|rate| {
            let mut measured = measurement();
            measured.calls_per_second = *rate;
            measured
        });
        rates.collect()
    }

    fn compared(first: &[f64], second: &[f64]) -> (FigureResult, Verdict) {
        let (figures, verdict) =
            compare_unpaired(&results(first), &results(second), Figure::CallsPerSecond, 2.0);
        (figures[0].clone(), verdict)
    }

    #[test]
    fn one_result_on_each_side_concludes_nothing_however_far_they_are_apart() {
        let (calls, verdict) = compared(&[1_000.0], &[9_000.0]);
        assert_eq!((calls.low, calls.high), (None, None));
        assert_eq!(calls.finding, Finding::Unclear);
        assert_eq!(verdict, Verdict::CannotTell { unrest_percent: None });
        assert_eq!(verdict.exit_code(), 4);
        assert!((calls.ratio - 9.0).abs() < 1e-9);
    }

    #[test]
    fn results_that_do_not_overlap_are_a_verdict_from_five_on() {
        let slow = [100.0, 101.0, 102.0, 103.0, 104.0];
        let fast = [110.0, 111.0, 112.0, 113.0, 114.0];
        assert_eq!(compared(&slow, &fast).1, Verdict::Faster);
        assert_eq!(compared(&fast, &slow).1, Verdict::Slower);
        let (calls, verdict) = compared(&slow[..4], &fast[..4]);
        assert_eq!(calls.finding, Finding::Unclear);
        assert!(matches!(
            verdict,
            Verdict::CannotTell {
                unrest_percent: Some(_)
            }
        ));
    }

    #[test]
    fn results_that_are_as_good_as_equal_are_no_difference() {
        let rates: Vec<f64> = (0..10).map(|number| 1_000.0 + f64::from(number)).collect();
        let (_, verdict) = compared(&rates, &rates);
        assert!(
            matches!(verdict, Verdict::NoDifference { percent_max } if percent_max < 1.0),
            "{verdict:?}"
        );
    }
}
