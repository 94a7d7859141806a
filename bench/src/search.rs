//! Finds the highest rate that still does what is wanted.

/// Rates below this many calls a second are not tried.
const RATE_MIN: f64 = 10.0;

/// The search ends when what did and what did not are this near to each other.
const PRECISION: f64 = 1.02;

/// Most trials, those that are repeated included.
pub const TRIALS_MAX: usize = 60;

/// How much more is tried while everything does.
const GROWTH: f64 = 1.5;

/// Tries rates, beginning with `first`, and gives the highest that did; `None` when none did. Whether a rate
/// does may differ from time to time: one that did not is tried once more.
///
/// # Errors
/// What `try_rate` fails with.
pub fn highest_rate<E>(
    first: f64,
    ceiling: f64,
    mut try_rate: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Option<f64>, E> {
    let (mut does, mut does_not): (Option<f64>, Option<f64>) = (None, None);
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
            does = Some(rate);
        } else {
            does_not = Some(rate);
        }
        rate = match (does, does_not) {
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
    Ok(does)
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
