//! The unrest of the machine: what it does by itself to the figures of a measurement.
//!
//! A loop that only reads the clock, pinned to a processor, sees every time in which it did not run there: another
//! program had the processor, or another machine had the host's. It needs a processor of its own, so it runs before and
//! after a load, on all processors that the load uses. During the load the kernel's counters tell the rest: time that
//! the host took (steal), time of other programs, time in which a cgroup's limit kept this one waiting, and frequencies
//! where the system shows them.

mod counters;
mod delay;
mod frequency;
mod gaps;
mod report;

pub use self::counters::{Watch, Watched};
pub use self::gaps::{Gaps, measure_gaps};
pub use self::report::{Gap, Unrest};
