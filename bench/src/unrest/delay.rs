//! How much latency the gaps of a machine make by themselves.

use super::gaps::Gaps;

/// Steps of the bisection; each halves the error, which is a millionth of the longest gap after twenty.
const STEPS: usize = 40;

/// When calls begin, which decides how many of them a gap meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Arrivals {
    /// By a timetable: all calls that are due in a gap wait for its end.
    Open,
    /// In a closed loop: only the calls in flight wait.
    Closed {
        /// Calls in flight.
        in_flight: f64,
        /// Calls a second.
        calls_per_second: f64,
    },
}

/// The latency in microseconds that the gaps alone make at that quantile, of a call that takes no time otherwise. 0 when
/// fewer calls meet a gap at all.
pub(super) fn delay_us(gaps: &Gaps, arrivals: Arrivals, quantile: f64) -> f64 {
    if gaps.seconds <= 0.0 {
        return 0.0;
    }
    let are_more_delayed_by = |delay: f64| part_delayed(gaps, arrivals, delay) > 1.0 - quantile;
    if !are_more_delayed_by(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, gaps.lengths.iter().copied().fold(0.0, f64::max));
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if are_more_delayed_by(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low * 1e6
}

/// The part of all calls that a gap delays by more than that many seconds. A call needs the processors of both sides, so
/// the gaps of two processors delay it; those known are of both sides together.
fn part_delayed(gaps: &Gaps, arrivals: Arrivals, delay: f64) -> f64 {
    let longer = gaps.lengths.iter().filter(|length| **length > delay);
    let met = match arrivals {
        Arrivals::Open => longer.map(|length| length - delay).sum::<f64>(),
        Arrivals::Closed {
            in_flight,
            calls_per_second,
        } => longer.count() as f64 * in_flight / calls_per_second.max(1.0),
    };
    (2.0 * met / gaps.seconds).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(lengths: &[f64], seconds: f64) -> Gaps {
        Gaps {
            lengths: lengths.to_vec(),
            seconds,
            reads: 1,
        }
    }

    #[test]
    fn a_gap_delays_what_is_due_in_it_by_what_is_left_of_it() {
        // 10 ms of 1 s, on either of two processors: 2 % of the calls wait, half of these for 5 ms at least.
        let machine = gaps(&[0.010], 1.0);
        let at = |quantile| delay_us(&machine, Arrivals::Open, quantile);
        assert_eq!(at(0.5), 0.0);
        assert_eq!(at(0.97), 0.0);
        assert!((at(0.99) - 5_000.0).abs() < 1.0, "{}", at(0.99));
        assert!((at(0.999) - 9_500.0).abs() < 1.0, "{}", at(0.999));
    }

    #[test]
    fn in_a_closed_loop_only_the_calls_in_flight_wait() {
        let machine = gaps(&[0.010], 1.0);
        let arrivals = Arrivals::Closed {
            in_flight: 10.0,
            calls_per_second: 1e5,
        };
        // 20 of 100,000.
        assert_eq!(delay_us(&machine, arrivals, 0.999), 0.0);
        assert!((delay_us(&machine, arrivals, 0.9999) - 10_000.0).abs() < 1.0);
    }

    #[test]
    fn a_quiet_machine_delays_nothing() {
        for machine in [gaps(&[], 1.0), Gaps::default()] {
            assert_eq!(delay_us(&machine, Arrivals::Open, 0.999), 0.0);
        }
    }
}
