//! The unrest as a part of a result.

use serde::{Deserialize, Serialize};

use super::counters::Watched;
use super::delay::{Arrivals, delay_us};
use super::gaps::Gaps;
use crate::format::duration;
use crate::latency::Latency;

/// The lengths by which gaps are counted, in microseconds.
const LENGTHS_US: [f64; 5] = [10.0, 50.0, 200.0, 1_000.0, 5_000.0];

/// A change of the processors' speed that a reader must know.
const SPEED_CHANGE_MIN: f64 = 0.05;

/// How many gaps were at least so long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The length, in microseconds.
    pub us: f64,
    /// Gaps a second on each processor.
    pub per_second: f64,
}

/// What the machine did by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unrest {
    /// Part of the processors' time that the host gave to others during the load, in percent.
    pub steal_percent: f64,
    /// Part that other programs used, in percent; `None` when the load's own part is not known.
    pub other_percent: Option<f64>,
    /// Seconds in which a cgroup's limit kept the client waiting; `None` when that is not visible.
    pub throttled_seconds: Option<f64>,
    /// Part of the time in which a loop that only reads the clock did not run, before and after the load, in percent.
    pub away_percent: f64,
    /// Its longest gap, in microseconds.
    pub away_us_max: f64,
    /// Its gaps by length.
    pub gaps: Vec<Gap>,
    /// Clock reads a second after the load to those before: how much the processors' speed changed.
    pub speed_ratio: Option<f64>,
    /// The latency that the gaps alone make at each percentile, in microseconds.
    pub delay_us: Latency,
    /// The percentiles that this alone can explain, such as `p99`.
    pub explains: Vec<String>,
}

impl Unrest {
    /// The unrest around a load: what loops saw before and after, and what the kernel counted meanwhile. `closed` is the
    /// number of calls in flight and the calls a second of a closed loop.
    pub fn new(
        (before, after): (Gaps, Gaps),
        Watched(activity): Watched,
        closed: Option<(usize, f64)>,
        latency: &Latency,
    ) -> Unrest {
        let speed = |gaps: &Gaps| {
            let running = gaps.seconds - away(gaps);
            (running > 0.0 && gaps.reads > 0).then(|| gaps.reads as f64 / running)
        };
        let speed_ratio = speed(&after)
            .zip(speed(&before))
            .map(|(after, before)| after / before);
        let gaps = before.and(after);
        let arrivals = match closed {
            None => Arrivals::Open,
            Some((in_flight, calls_per_second)) => Arrivals::Closed {
                in_flight: in_flight as f64,
                calls_per_second,
            },
        };
        let at = |quantile| delay_us(&gaps, arrivals, quantile);
        let longest = gaps.lengths.iter().copied().fold(0.0, f64::max) * 1e6;
        let delay = Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: longest,
        };
        let count = |us: f64| gaps.lengths.iter().filter(|length| **length * 1e6 >= us).count();
        let seconds = gaps.seconds.max(1e-9);
        Unrest {
            steal_percent: activity.steal_percent,
            other_percent: activity.other_percent,
            throttled_seconds: activity.throttled_seconds,
            away_percent: away(&gaps) / seconds * 100.0,
            away_us_max: longest,
            gaps: LENGTHS_US
                .map(|us| Gap {
                    us,
                    per_second: count(us) as f64 / seconds,
                })
                .into(),
            speed_ratio,
            delay_us: delay,
            explains: explained(latency, &delay),
        }
    }

    /// The same with figures that are rounded to their precision.
    pub(crate) fn rounded(mut self) -> Unrest {
        let to = |number: f64| (number * 1e3).round() / 1e3;
        self.steal_percent = to(self.steal_percent);
        self.other_percent = self.other_percent.map(to);
        self.throttled_seconds = self.throttled_seconds.map(to);
        self.away_percent = to(self.away_percent);
        self.away_us_max = to(self.away_us_max);
        for gap in &mut self.gaps {
            gap.per_second = to(gap.per_second);
        }
        self.speed_ratio = self.speed_ratio.map(to);
        let delay = &mut self.delay_us;
        for delay in [
            &mut delay.p50,
            &mut delay.p90,
            &mut delay.p99,
            &mut delay.p999,
            &mut delay.max,
        ] {
            *delay = to(*delay);
        }
        self
    }

    /// The latency of an open loop that only reads the clock at a quantile, in microseconds.
    pub fn idle_latency_us(gaps: &Gaps, quantile: f64) -> f64 {
        delay_us(gaps, Arrivals::Open, quantile)
    }

    /// What a reader must know, in one line.
    pub fn summary(&self) -> String {
        let mut parts = vec![
            format!(
                "a loop that reads the clock was away {:.2} % of the time, {} at most",
                self.away_percent,
                duration(self.away_us_max)
            ),
            format!("steal {:.1} %", self.steal_percent),
        ];
        if let Some(other) = self.other_percent {
            parts.push(format!("other programs {other:.1} %"));
        }
        if let Some(seconds) = self.throttled_seconds.filter(|seconds| *seconds > 0.0) {
            parts.push(format!("throttled for {seconds:.2} s"));
        }
        let changed = |ratio: &f64| (ratio - 1.0).abs() >= SPEED_CHANGE_MIN;
        if let Some(ratio) = self.speed_ratio.filter(changed) {
            parts.push(format!(
                "afterwards the processors had {ratio:.2} times their speed"
            ));
        }
        parts.join("; ")
    }

    /// Which percentiles the machine alone can explain, as a sentence; `None` when it explains none.
    pub fn warning(&self) -> Option<String> {
        (!self.explains.is_empty()).then(|| {
            format!(
                "the machine's unrest alone can explain {}, which say little about the program",
                self.explains.join(", ")
            )
        })
    }
}

/// How long all loops did not run, in seconds.
fn away(gaps: &Gaps) -> f64 {
    gaps.lengths.iter().fold(0.0, |sum, length| sum + length)
}

/// The percentiles that are no longer than the median and the delay that the machine makes by itself.
fn explained(latency: &Latency, delay: &Latency) -> Vec<String> {
    let percentiles = [
        ("p90", latency.p90, delay.p90),
        ("p99", latency.p99, delay.p99),
        ("p99.9", latency.p999, delay.p999),
        ("max", latency.max, delay.max),
    ];
    let explained = percentiles
        .into_iter()
        .filter(|(_, measured, delay)| *delay > 0.0 && *measured <= latency.p50 + delay);
    explained.map(|(name, ..)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(p50: f64, p99: f64, p999: f64, max: f64) -> Latency {
        Latency {
            p50,
            p90: p50,
            p99,
            p999,
            max,
        }
    }

    fn unrest(lengths: &[f64], latency: &Latency) -> Unrest {
        let gaps = Gaps {
            lengths: lengths.to_vec(),
            seconds: 1.0,
            reads: 1_000,
        };
        Unrest::new((gaps, Gaps::default()), Watched::default(), None, latency)
    }

    #[test]
    fn percentiles_within_the_median_and_the_machines_own_delay_are_marked() {
        // 2 % of the calls wait: the p99 is 5 ms by itself, and the p99.9 nearly 10.
        let unrest = unrest(&[0.010], &latency(100.0, 5_000.0, 30_000.0, 40_000.0));
        assert_eq!(unrest.explains, ["p99"]);
        let warning = unrest.warning().unwrap();
        assert!(warning.contains("can explain p99,"), "{warning}");
        assert!((unrest.away_percent - 1.0).abs() < 1e-9, "{unrest:?}");
        assert_eq!(
            unrest.gaps.last(),
            Some(&Gap {
                us: 5_000.0,
                per_second: 1.0
            })
        );
    }

    #[test]
    fn a_quiet_machine_explains_nothing() {
        let unrest = unrest(&[], &latency(100.0, 200.0, 300.0, 400.0));
        assert_eq!((unrest.warning(), unrest.away_us_max), (None, 0.0));
        assert!(
            unrest.summary().contains("away 0.00 % of the time"),
            "{}",
            unrest.summary()
        );
    }
}
