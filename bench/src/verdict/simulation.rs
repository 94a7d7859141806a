//! The error rates of verdicts, on a simulated machine whose speed changes as that of a shared one does.

use super::{Figure, PairedComparison, Verdict};
use crate::measurement::Measurement;
use crate::measurement::tests::measurement;
use crate::statistics::Coin;

/// Runs of each kind. All seeds are fixed, so a result is the same every time.
const RUNS: u64 = 200;

/// Pairs that fit into twenty seconds.
const PAIRS: usize = 75;

/// A machine: two speeds that differ by 1.5 and change every two seconds, noise that is correlated in time, and windows in
/// which another program had the processor.
struct Machine {
    /// What a window is made of.
    template: Measurement,
    coin: Coin,
    is_slow: bool,
    drift: f64,
}

impl Machine {
    fn new(seed: u64, template: &Measurement) -> Machine {
        Machine {
            template: template.clone(),
            coin: Coin::new(seed),
            is_slow: false,
            drift: 0.0,
        }
    }

    /// Between 0 and 1.
    fn part(&mut self) -> f64 {
        self.coin.fraction()
    }

    /// Normally distributed.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.part()).sum::<f64>() - 6.0
    }

    /// A window of 0.1 s of a program that takes `cost` times as long for a call.
    fn window(&mut self, cost: f64) -> Measurement {
        if self.part() < 0.06 {
            self.is_slow = !self.is_slow;
        }
        self.drift = 0.9 * self.drift + 0.015 * self.normal();
        let mut slowness = self.drift + if self.is_slow { 1.5f64.ln() } else { 0.0 };
        slowness += 0.03 * self.normal();
        if self.part() < 0.05 {
            slowness += self.part();
        }
        let slow = slowness.exp() * cost;
        let mut measured = self.template.clone();
        measured.calls = 1_000_000;
        measured.calls_per_second = 3e6 / slow;
        measured.latency_us.p50 = 80.0 * slow * (0.02 * self.normal()).exp();
        measured.latency_us.p99 = 120.0 * slow * (0.06 * self.normal()).exp();
        measured.latency_us.p999 = 300.0 * slow * (0.25 * self.normal()).exp();
        let busy = 0.7 * (slowness * 0.5).exp() * cost * (0.009 * self.normal()).exp();
        measured.cpu_seconds.client = busy;
        measured
    }
}

/// What becomes of a comparison with a program that takes `cost` times as long, and whether every interval at its end has
/// the true ratio.
fn compare(seed: u64, cost: f64, template: &Measurement) -> (Verdict, bool) {
    let mut machine = Machine::new(seed, template);
    let mut order = Coin::new(seed ^ 0x5eed);
    let mut comparison = PairedComparison::new(Figure::CallsPerSecond, 2.0);
    for _ in 0..PAIRS {
        let (first, second) = if order.toss() {
            let first = machine.window(1.0);
            (first, machine.window(cost))
        } else {
            let second = machine.window(cost);
            (machine.window(1.0), second)
        };
        comparison.add(&first, &second);
        if comparison.is_clear() {
            break;
        }
    }
    let is_covered = comparison.figures().iter().all(|result| {
        let truth = if result.figure.is_better_when_greater() {
            1.0 / cost
        } else {
            cost
        };
        result.interval().contains(truth)
    });
    (comparison.verdict(), is_covered)
}

/// How many of the runs have that property.
fn count(cost: f64, mut has: impl FnMut(&Verdict, bool) -> bool) -> u64 {
    let mut template = measurement();
    template.chart_data = None;
    let runs = (0..RUNS).map(|seed| compare(seed, cost, &template));
    runs.filter(|(verdict, is_covered)| has(verdict, *is_covered))
        .count() as u64
}

#[test]
fn a_program_beside_itself_is_rarely_called_faster_or_slower() {
    let wrong = count(1.0, |verdict, _| {
        matches!(verdict, Verdict::Faster | Verdict::Slower)
    });
    println!("{wrong} of {RUNS}");
    assert!(wrong <= RUNS / 20, "{wrong} of {RUNS}");
}

#[test]
fn all_intervals_together_miss_the_truth_in_at_most_one_of_twenty_comparisons() {
    for cost in [1.0, 1.03, 0.8] {
        let missed = count(cost, |_, is_covered| !is_covered);
        println!("{missed} of {RUNS} at {cost}");
        assert!(missed <= RUNS / 20, "{missed} of {RUNS} at {cost}");
    }
}

#[test]
fn three_percent_are_found_within_the_pairs_of_twenty_seconds() {
    let found = count(1.03, |verdict, _| *verdict == Verdict::Slower);
    println!("{found} of {RUNS}");
    assert!(found >= RUNS * 9 / 10, "{found} of {RUNS}");
    let found = count(1.0 / 1.03, |verdict, _| *verdict == Verdict::Faster);
    assert!(found >= RUNS * 9 / 10, "{found} of {RUNS}");
}

#[test]
fn ten_percent_are_always_found() {
    let found = count(1.1, |verdict, _| *verdict == Verdict::Slower);
    println!("{found} of {RUNS}");
    assert!(found >= RUNS - 1, "{found} of {RUNS}");
}
