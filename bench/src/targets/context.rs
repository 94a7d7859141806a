//! What every target is measured with.

use std::time::Duration;

use crate::floors::Launcher;
use crate::interrupt::Interrupt;
use crate::node_process::Program;

/// The programs, the interrupt and the times of a measurement.
pub struct Context<'a> {
    /// Runs a server of Skyring's.
    pub node: &'a Program,
    /// Runs those of the floors.
    pub launcher: &'a Launcher,
    /// Ends the measurement early.
    pub interrupt: &'a Interrupt,
    /// How often each figure is measured.
    pub runs: usize,
    /// The measured time of each.
    pub duration: Duration,
}
