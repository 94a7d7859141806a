//! Statistics of measurements on machines whose speed changes: numbers go in, intervals come out. No clock, no process.
//!
//! *Paired.* Two programs are measured one right after the other, and only the logarithm of the pair's ratio counts. What
//! changes slowly - the speed of the processors, other load - is in both and cancels out.
//!
//! *Randomised.* A fair coin decides which of the two is first. If both are the same program, each sign of a pair's
//! logarithm is then a fair coin, whatever the machine does and however its noise is correlated in time (Fisher, "The
//! Design of Experiments", 1935). That is all that [`median_interval`] needs.
//!
//! *Robust.* Signs and medians: a pair that another program disturbed counts as one pair, however large its ratio. Means
//! and t-tests do not have this: on such machines one pair of a hundred is off by a factor. A bootstrap would be robust
//! as well, but says nothing about stopping early; a signed-rank test needs a fifth to a third fewer pairs when noise is
//! symmetric, but has no simple exact form that may be read after every pair.
//!
//! *Sequential.* The interval holds at all numbers of pairs at once, so a comparison may stop as soon as it is clear.
//!
//! *Unpaired.* Results in files have no partners. [`shift_interval`] gives the interval of the rank-sum test then, which
//! assumes that the files of both sides were measured under the same conditions.
//!
//! *Over time.* [`change_points`] finds where figures of many revisions changed.

mod change_points;
mod coin;
mod interval;
mod rank_sum;
mod sign_test;

pub use self::change_points::{ChangePoint, change_points};
pub use self::coin::Coin;
pub use self::interval::{Interval, median_interval};
pub use self::rank_sum::{Shift, shift_interval};

use crate::median::median;

/// How far an observation is from the median, robustly: the median of the distances, scaled to equal the standard
/// deviation of a normal distribution. Not a number when there is no observation.
pub fn robust_deviation(values: &[f64]) -> f64 {
    let centre = median(values.to_vec());
    let distances = values.iter().map(|value| (value - centre).abs()).collect();
    1.482_602 * median(distances)
}
