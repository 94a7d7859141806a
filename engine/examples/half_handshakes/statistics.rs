//! Medians, and where they lie.

/// How often a median lies outside of its interval, at most.
const OUTSIDE: f64 = 0.05;

/// The median of some values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    interval(&mut values.collect::<Vec<_>>()).1
}

/// The median of some ratios, with its interval.
pub(crate) fn ratio(ratios: impl Iterator<Item = f64>) -> String {
    let (low, median, high) = interval(&mut ratios.collect::<Vec<_>>());
    format!("{median:.2} ({low:.2} to {high:.2})")
}

/// The median of some times, from the lowest to the highest, in seconds.
pub(crate) fn range(times: impl Iterator<Item = f64>) -> String {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time * 1e3);
    format!(
        "{:.3} ms ({:.3} to {:.3})",
        ms(times.len() / 2),
        ms(0),
        ms(times.len().saturating_sub(1))
    )
}

/// The median, between the values that it lies between with a probability of 95 % or more where there are enough.
fn interval(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    // The median is below the value at `cut` if more than `count - cut` values are above it: that of a fair coin.
    let (mut outside, mut ways, mut cut) = (0.0, 2.0 * 0.5_f64.powi(count as i32), 0);
    for at in 0..count / 2 {
        outside += ways;
        if outside > OUTSIDE {
            break;
        }
        cut = at;
        ways *= (count - at) as f64 / (at + 1) as f64;
    }
    (values[cut], values[count / 2], values[count - 1 - cut])
}
