//! What is compared, and for how long.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::verdict::Figure;

/// One of both sides.
#[derive(Debug, Clone)]
pub struct AbSide {
    /// `A` or `B`.
    pub name: &'static str,
    /// The program: a `skyring`.
    pub program: PathBuf,
    /// The settings of its `skyring bench`.
    pub arguments: Vec<OsString>,
    /// Both as text.
    pub description: String,
}

/// A comparison.
#[derive(Debug, Clone)]
pub struct AbPlan {
    /// The old one and the new one.
    pub sides: [AbSide; 2],
    /// Measured time of a window.
    pub window: Duration,
    /// The longest time; the comparison ends when the answer is clear.
    pub time_max: Duration,
    /// Decides the order in each pair.
    pub seed: u64,
    /// The figure that decides when the answer is clear.
    pub main: Figure,
    /// A difference that does not matter, in percent.
    pub margin_percent: f64,
}
