//! A sign test that may be read after every observation.
//!
//! Under the hypothesis that is tested each sign is a fair coin, whatever came before. Against it stands a coin of
//! unknown bias, with a Beta distribution over the bias. The ratio of the two likelihoods is a martingale that begins at
//! 1 under the hypothesis. By Ville's inequality the chance that it *ever* reaches 1/alpha is at most alpha, so looking
//! after every pair and stopping when it is reached does not raise the rate of false verdicts. (Robbins, "Statistical
//! methods related to the law of the iterated logarithm", 1970; Howard and Ramdas, "Sequential estimation of quantiles
//! with applications to A/B testing and best-arm identification", 2022.)

/// Both parameters of the Beta distribution. A larger one favours small biases that many observations show, a smaller
/// one large biases that a few show. With 4 the width is best for 20 to 100 observations, and no less than 9 suffice.
const PRIOR: f64 = 4.0;

/// The evidence against a fair coin after so many tosses.
struct Evidence {
    /// For each count of heads, and of tails, its part of the evidence's logarithm.
    counts: Vec<f64>,
    /// The part that all tosses have.
    all: f64,
}

impl Evidence {
    fn after(tosses: usize) -> Evidence {
        let mut counts = Vec::with_capacity(tosses + 1);
        let (mut sum, mut all) = (0.0, 0.0);
        counts.push(sum);
        for toss in 0..tosses {
            sum += (PRIOR + toss as f64).ln();
            counts.push(sum);
            all += std::f64::consts::LN_2 - (2.0 * PRIOR + toss as f64).ln();
        }
        Evidence { counts, all }
    }

    /// Its logarithm: 0 at the beginning.
    fn logarithm(&self, heads: usize) -> f64 {
        self.counts[heads] + self.counts[self.counts.len() - 1 - heads] + self.all
    }
}

/// The least number of heads among `observations`, more than half, with which a fair coin is refuted at that error rate
/// to both sides together. `None` when even all heads do not.
pub(super) fn heads_min(observations: usize, error_rate: f64) -> Option<usize> {
    let evidence = Evidence::after(observations);
    let is_refuted = |heads: usize| evidence.logarithm(heads) >= -error_rate.ln();
    let (mut low, mut high) = (observations / 2, observations);
    if !is_refuted(high) {
        return None;
    }
    // The evidence grows with the heads past one half. `high` refutes, `low` does not.
    while high - low > 1 {
        let middle = low.midpoint(high);
        if is_refuted(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evidence_has_the_mean_one_under_a_fair_coin() {
        for tosses in 0..13u32 {
            let mut mean = 0.0;
            for outcome in 0..1u32 << tosses {
                let heads = outcome.count_ones() as usize;
                mean += Evidence::after(tosses as usize).logarithm(heads).exp();
            }
            mean /= f64::from(1u32 << tosses);
            assert!((mean - 1.0).abs() < 1e-9, "{mean} after {tosses}");
        }
    }

    #[test]
    fn a_fair_coin_is_refuted_from_some_heads_on_and_not_before() {
        for observations in 1..200 {
            for error_rate in [0.05, 0.01, 0.002] {
                let evidence = Evidence::after(observations);
                let refuted = |heads| evidence.logarithm(heads) >= -f64::ln(error_rate);
                match heads_min(observations, error_rate) {
                    Some(heads) => {
                        assert!(2 * heads > observations, "{heads} of {observations}");
                        assert!(refuted(heads), "{heads} of {observations}");
                        assert!(2 * (heads - 1) <= observations || !refuted(heads - 1));
                    }
                    None => assert!(!refuted(observations), "{observations}"),
                }
            }
        }
        assert_eq!(heads_min(0, 0.05), None);
    }
}
