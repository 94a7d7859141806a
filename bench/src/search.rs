//! A search for the highest rate that meets an objective.

/// Rates below this many calls a second are not tried.
const RATE_MIN: f64 = 10.0;

/// The search ends when the highest rate that met and the lowest that missed differ by no more than this factor.
const PRECISION: f64 = 1.02;

/// Most trials, repetitions included.
pub const TRIALS_MAX: usize = 60;

/// The factor between two trials while all meet the objective.
const GROWTH: f64 = 1.5;

/// Tries rates, beginning with `first`, and returns the highest that met the objective; `None` when none did. The result
/// of a rate may differ from time to time: one that missed is tried again.
///
/// # Errors
/// What `try_rate` fails with.
pub fn highest_rate<E>(
    first: f64,
    ceiling: f64,
    mut try_rate: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Option<f64>, E> {
    let (mut met_max, mut missed_min): (Option<f64>, Option<f64>) = (None, None);
    let mut rate = first.clamp(RATE_MIN, ceiling);
    let mut trials = 0;
    while trials < TRIALS_MAX {
        trials += 1;
        let mut met = try_rate(rate)?;
        if !met && trials < TRIALS_MAX {
            trials += 1;
            met = try_rate(rate)?;
        }
        if met {
            met_max = Some(rate);
        } else {
            missed_min = Some(rate);
        }
        rate = match (met_max, missed_min) {
            (Some(low), Some(high)) if high / low <= PRECISION => break,
            (Some(low), Some(high)) => (low + high) / 2.0,
            (Some(low), None) if low >= ceiling => break,
            (Some(low), None) => (low * GROWTH).min(ceiling),
            (None, Some(high)) if high <= RATE_MIN => break,
            (None, Some(high)) => (high / 2.0).max(RATE_MIN),
            // One of them was set above.
            (None, None) => break,
        };
    }
    Ok(met_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(limit: f64) -> (Option<f64>, usize) {
        let mut trials = 0;
        let found = highest_rate(1_000.0, 1e9, |rate| {
            trials += 1;
            Ok::<_, ()>(rate <= limit)
        });
        (found.unwrap(), trials)
    }

    #[test]
    fn the_highest_rate_is_found_wherever_it_is() {
        for limit in [11.0, 300.0, 1_000.0, 123_456.0, 2e7] {
            let (found, trials) = search(limit);
            let found = found.unwrap();
            assert!(
                found <= limit && found * PRECISION * 1.001 >= limit,
                "{found} for {limit}"
            );
            assert!(trials <= TRIALS_MAX, "{trials}");
        }
        assert_eq!(search(5.0).0, None);
    }

    #[test]
    fn a_rate_that_misses_by_chance_is_tried_once_more() {
        let mut trials = 0;
        let found = highest_rate(1_000.0, 1e9, |rate| {
            trials += 1;
            Ok::<_, ()>(rate <= 50_000.0 && trials % 2 == 0)
        });
        assert!(found.unwrap().unwrap() > 48_000.0);
    }

    #[test]
    fn the_ceiling_is_never_passed() {
        let mut highest = 0f64;
        let found = highest_rate(5_000.0, 2_000.0, |rate| {
            highest = highest.max(rate);
            Ok::<_, ()>(true)
        });
        assert_eq!((found.unwrap(), highest), (Some(2_000.0), 2_000.0));
    }

    #[test]
    fn an_error_ends_the_search() {
        assert_eq!(
            highest_rate(1e3, 1e6, |_| Err::<bool, _>("broken")),
            Err("broken")
        );
    }
}
