//! The comparison of two sides that are measured in interleaved pairs. No clock and no process here.

use super::figure::Figure;
use super::finding::{FigureResult, Finding, Verdict, error_rate, finding, verdict};
use crate::measurement::Measurement;
use crate::median::median;
use crate::statistics::{median_interval, robust_deviation};

/// Most pairs that are kept; a comparison ends when it has so many.
pub const PAIRS_MAX: usize = 100_000;

/// The pairs so far. What it says may be read after every pair: see [`median_interval`].
#[derive(Debug, Clone)]
pub struct PairedComparison {
    main: Figure,
    margin_percent: f64,
    /// For each figure the values of both sides, pair by pair.
    pairs: Vec<(Figure, Vec<(f64, f64)>)>,
}

impl PairedComparison {
    /// No pair yet. `main` decides when the answer is clear; `margin_percent` is the difference that does not matter.
    pub fn new(main: Figure, margin_percent: f64) -> PairedComparison {
        PairedComparison {
            main,
            margin_percent,
            pairs: Figure::ALL.map(|figure| (figure, Vec::new())).into(),
        }
    }

    /// Adds a pair.
    pub fn add(&mut self, first: &Measurement, second: &Measurement) {
        for (figure, pairs) in &mut self.pairs {
            let pair = (figure.of(first), figure.of(second));
            // A figure that is not known is 0, such as the latency of a window without any call. Its calls a second are
            // known: a window in which one side did not get anywhere counts against it, as one pair.
            let is_known =
                pair.0 > 0.0 && pair.1 > 0.0 || *figure == Figure::CallsPerSecond && pair.0 + pair.1 > 0.0;
            if is_known && pairs.len() < PAIRS_MAX {
                pairs.push(pair);
            }
        }
    }

    /// Every figure that was measured.
    pub fn figures(&self) -> Vec<FigureResult> {
        let known = self.pairs.iter().filter(|(_, pairs)| !pairs.is_empty());
        known.map(|(figure, pairs)| self.result(*figure, pairs)).collect()
    }

    /// The verdict so far.
    pub fn verdict(&self) -> Verdict {
        verdict(&self.figures(), self.main)
    }

    /// Whether more pairs are not needed: the main figure is better or worse, or it is no different and the others have
    /// intervals as well.
    pub fn is_clear(&self) -> bool {
        let mut known = self.pairs.iter().filter(|(_, pairs)| !pairs.is_empty());
        let Some((main, pairs)) = known.clone().find(|(figure, _)| *figure == self.main) else {
            return false;
        };
        if pairs.len() >= PAIRS_MAX {
            return true;
        }
        match self.result(*main, pairs).finding {
            Finding::Better | Finding::Worse => true,
            Finding::NoDifference => known.all(|(figure, pairs)| self.result(*figure, pairs).low.is_some()),
            Finding::Unclear => false,
        }
    }

    fn result(&self, figure: Figure, pairs: &[(f64, f64)]) -> FigureResult {
        let logarithms: Vec<f64> = pairs
            .iter()
            .map(|(first, second)| (second / first).ln())
            .collect();
        let interval = median_interval(&logarithms, error_rate(figure, self.main)).exp();
        FigureResult {
            figure,
            first: median(pairs.iter().map(|(first, _)| *first).collect()),
            second: median(pairs.iter().map(|(_, second)| *second).collect()),
            ratio: median(logarithms.clone()).exp(),
            low: Some(interval.low).filter(|low| *low > 0.0),
            high: Some(interval.high).filter(|high| high.is_finite()),
            spread_percent: robust_deviation(&logarithms).exp_m1() * 100.0,
            finding: finding(figure, &interval, self.margin_percent),
        }
    }
}
