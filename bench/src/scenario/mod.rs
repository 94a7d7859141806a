//! Scenarios: experiments that a file describes, so that anybody can repeat them.
//!
//! A file names nodes, operations with their sizes and keys, phases of load, faults in them, and objectives. Operation `n`
//! of a phase follows from the seed, the phase and `n` alone, whatever the time does, so the same file makes the same
//! operations in the same order. The result has the file, the seed, the versions and the machine.
//!
//! Invariants: everything that a file may ask for has a bound; a file is checked wholly before anything starts; the
//! processes end with the scenario.

mod callee;
mod check;
mod cluster;
mod distribution;
mod error;
mod faults;
mod file;
mod outcome;
mod random;
mod run;
mod sequence;
mod stats;

pub use self::check::Scenario;
pub use self::error::ScenarioError;
pub use self::outcome::{OperationFigures, PhaseFigures, ScenarioResult, Verdict};
pub use self::run::run;
pub use self::sequence::Operation;
