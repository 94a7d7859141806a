//! A search for the highest rate that meets an objective.

/// Rates below this many calls a second are not tried.
const RATE_MIN: f64 = 10.0;

/// The search ends when the highest rate that met and the lowest that missed differ by no more than this factor.
const PRECISION: f64 = 1.02;

/// Most trials, repetitions included.
pub const TRIALS_MAX: usize = 60;

/// The factor between two trials while all meet the objective.
const GROWTH: f64 = 1.5;

/// How often a rate must miss the objective, one time after the other, before it is given up: the machine may have missed
/// it and not the program.
pub const MISSES_MIN: usize = 3;

/// Where the highest rate that meets an objective lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRange {
    /// The highest rate that met it.
    pub met: f64,
    /// The lowest rate that was given up, above the other; `None` when the ceiling met it, or there were too many trials.
    pub missed: Option<f64>,
}

/// Tries rates, beginning with `first`, and returns the range in which the highest that meets the objective lies; `None`
/// when none did. The result of a rate may differ from time to time: one that missed is tried again, up to
/// [`MISSES_MIN`] times in all.
///
/// # Errors
/// What `try_rate` fails with.
pub fn highest_rate<E>(
    first: f64,
    ceiling: f64,
    mut try_rate: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Option<RateRange>, E> {
    let (mut met_max, mut missed_min): (Option<f64>, Option<f64>) = (None, None);
    let mut rate = first.clamp(RATE_MIN, ceiling);
    let mut trials = 0;
    while trials < TRIALS_MAX {
        let (mut met, mut misses) = (false, 0);
        while !met && misses < MISSES_MIN && trials < TRIALS_MAX {
            trials += 1;
            met = try_rate(rate)?;
            misses += usize::from(!met);
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
    Ok(met_max.map(|met| RateRange {
        met,
        missed: missed_min,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(limit: f64) -> (Option<RateRange>, usize) {
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
            let RateRange { met, missed } = found.unwrap();
            let missed = missed.unwrap();
            assert!(
                met <= limit && limit < missed && met * PRECISION * 1.001 >= missed,
                "{met} to {missed} for {limit}"
            );
            assert!(trials <= TRIALS_MAX, "{trials}");
        }
        assert_eq!(search(5.0).0, None);
    }

    #[test]
    fn a_rate_that_misses_twice_by_chance_is_tried_once_more() {
        let mut trials = 0;
        let found = highest_rate(1_000.0, 1e9, |rate| {
            trials += 1;
            Ok::<_, ()>(rate <= 50_000.0 && trials % 3 == 0)
        });
        assert!(found.unwrap().unwrap().met > 48_000.0);
    }

    #[test]
    fn the_ceiling_is_never_passed() {
        let mut highest = 0f64;
        let found = highest_rate(5_000.0, 2_000.0, |rate| {
            highest = highest.max(rate);
            Ok::<_, ()>(true)
        });
        let ceiling = RateRange {
            met: 2_000.0,
            missed: None,
        };
        assert_eq!((found.unwrap(), highest), (Some(ceiling), 2_000.0));
    }

    #[test]
    fn an_error_ends_the_search() {
        assert_eq!(
            highest_rate(1e3, 1e6, |_| Err::<bool, _>("broken")),
            Err("broken")
        );
    }
}
