//! The unrest as a part of a result.

use serde::{Deserialize, Serialize};

use super::counters::Watched;
use super::delay::{Arrivals, delay_us};
use super::gaps::Gaps;
use crate::format::{duration, grouped};
use crate::latency::Latency;

/// The lengths by which gaps are counted, in microseconds.
const LENGTHS_US: [f64; 5] = [10.0, 50.0, 200.0, 1_000.0, 5_000.0];

/// A change of the processors' speed that a reader must know.
const SPEED_CHANGE_MIN: f64 = 0.05;

/// More than this is unrest: of the time in which a loop was away, and of the processors' time that others had, in percent.
const QUIET_AWAY_PERCENT_MAX: f64 = 0.2;
const QUIET_OTHERS_PERCENT_MAX: f64 = 1.0;

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
    /// Clock reads a second after the load to those before: how much the processors' speed changed. In a comparison, the
    /// fewest to the most of all loops.
    pub speed_ratio: Option<f64>,
    /// The lowest frequency that the system showed, in MHz; `None` when it shows none.
    pub frequency_mhz_min: Option<f64>,
    /// The highest one.
    pub frequency_mhz_max: Option<f64>,
    /// How often heat made a processor slower; `None` when that is not visible.
    pub heat_throttles: Option<u64>,
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
        watched: Watched,
        closed: Option<(usize, f64)>,
        latency: &Latency,
    ) -> Unrest {
        let speed_ratio = after
            .speed()
            .zip(before.speed())
            .map(|(after, before)| after / before);
        let mut unrest = Unrest::of(&before.and(after), watched, closed);
        unrest.speed_ratio = speed_ratio;
        unrest.explains = explained(latency, &unrest.delay_us);
        unrest
    }

    /// The unrest in a comparison: what loops saw from time to time, and what the kernel counted while either side
    /// measured. It explains a percentile when it does so for both sides.
    pub(crate) fn around_pairs(
        all: &[Gaps],
        watched: Watched,
        closed: Option<(usize, f64)>,
        sides: [Latency; 2],
    ) -> Unrest {
        let speeds: Vec<f64> = all.iter().filter_map(Gaps::speed).collect();
        let fewest = speeds.iter().copied().reduce(f64::min);
        let most = speeds.iter().copied().reduce(f64::max);
        let gaps = all.iter().cloned().reduce(Gaps::and).unwrap_or_default();
        let mut unrest = Unrest::of(&gaps, watched, closed);
        unrest.speed_ratio = fewest.zip(most).map(|(fewest, most)| fewest / most);
        let [first, second] = sides.map(|latency| explained(&latency, &unrest.delay_us));
        unrest.explains = first.into_iter().filter(|name| second.contains(name)).collect();
        unrest
    }

    fn of(gaps: &Gaps, Watched(activity): Watched, closed: Option<(usize, f64)>) -> Unrest {
        let arrivals = match closed {
            None => Arrivals::Open,
            Some((in_flight, calls_per_second)) => Arrivals::Closed {
                in_flight: in_flight as f64,
                calls_per_second,
            },
        };
        let at = |quantile| delay_us(gaps, arrivals, quantile);
        let longest = gaps.lengths.iter().copied().fold(0.0, f64::max) * 1e6;
        let count = |us: f64| gaps.lengths.iter().filter(|length| **length * 1e6 >= us).count();
        let seconds = gaps.seconds.max(1e-9);
        let mhz = activity.frequencies.mhz;
        Unrest {
            steal_percent: activity.steal_percent(),
            other_percent: activity.other_percent(),
            throttled_seconds: activity.throttled_seconds,
            away_percent: gaps.away() / seconds * 100.0,
            away_us_max: longest,
            gaps: LENGTHS_US
                .map(|us| Gap {
                    us,
                    per_second: count(us) as f64 / seconds,
                })
                .into(),
            speed_ratio: None,
            frequency_mhz_min: mhz.map(|mhz| mhz.0),
            frequency_mhz_max: mhz.map(|mhz| mhz.1),
            heat_throttles: activity.frequencies.heat_throttles,
            delay_us: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: longest,
            },
            explains: Vec::new(),
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
        self.frequency_mhz_min = self.frequency_mhz_min.map(to);
        self.frequency_mhz_max = self.frequency_mhz_max.map(to);
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
        parts.push(self.speed_text());
        parts.join("; ")
    }

    /// How the processors' speed changed, and what the system shows of the reason.
    fn speed_text(&self) -> String {
        let changed = |ratio: &f64| (ratio - 1.0).abs() >= SPEED_CHANGE_MIN;
        let speed = match self.speed_ratio.filter(changed) {
            Some(ratio) => format!("their speed changed by a factor of {ratio:.2}, and "),
            None => String::new(),
        };
        let frequency = match self.frequency_mhz_min.zip(self.frequency_mhz_max) {
            Some((min, max)) if max - min < 1.0 => format!("their frequency was {} MHz", grouped(max)),
            Some((min, max)) => format!("their frequency was {} to {} MHz", grouped(min), grouped(max)),
            None => "their frequency is not visible here".to_owned(),
        };
        let heat = match self.heat_throttles {
            Some(count) if count > 0 => format!(", and heat made them slower {count} times"),
            _ => String::new(),
        };
        format!("the processors: {speed}{frequency}{heat}")
    }

    /// Whether next to nothing but the programs that were measured ran.
    pub(crate) fn is_quiet(&self) -> bool {
        let others = self.steal_percent + self.other_percent.unwrap_or(0.0);
        let is_throttled = self.throttled_seconds.is_some_and(|seconds| seconds > 0.0);
        self.away_percent <= QUIET_AWAY_PERCENT_MAX && others <= QUIET_OTHERS_PERCENT_MAX && !is_throttled
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

    #[test]
    fn a_comparison_explains_what_it_explains_of_both_sides() {
        let gaps = |reads| Gaps {
            lengths: vec![0.010],
            seconds: 1.0,
            reads,
        };
        let around = |sides| Unrest::around_pairs(&[gaps(1_000), gaps(800)], Watched::default(), None, sides);
        let (near, far) = (
            latency(100.0, 5_000.0, 30_000.0, 40_000.0),
            latency(100.0, 9_000.0, 30_000.0, 40_000.0),
        );
        assert_eq!(around([near, near]).explains, ["p99"]);
        assert!(around([near, far]).explains.is_empty());
        let unrest = around([near, near]);
        assert!(!unrest.is_quiet());
        assert!(
            unrest.summary().contains("changed by a factor of 0.80"),
            "{}",
            unrest.summary()
        );
    }

    #[test]
    fn frequencies_are_told_and_that_they_are_not_visible() {
        let mut unrest = unrest(&[], &latency(100.0, 200.0, 300.0, 400.0));
        assert!(unrest.is_quiet());
        let summary = unrest.summary();
        assert_eq!(summary.matches("is not visible here").count(), 1, "{summary}");
        (unrest.frequency_mhz_min, unrest.frequency_mhz_max) = (Some(1_200.0), Some(3_100.0));
        unrest.heat_throttles = Some(2);
        let summary = unrest.summary();
        assert!(
            summary.ends_with("frequency was 1,200 to 3,100 MHz, and heat made them slower 2 times"),
            "{summary}"
        );
    }
}
