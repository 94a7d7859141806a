//! A load: calls that a node makes for a while, and their latencies.
//!
//! In a *closed loop* each caller begins its next call when its last one is answered, so a slow server gets fewer calls.
//! In an *open loop* calls begin by a timetable, whatever became of those before, and the latency of a call counts from
//! its time in the table: what a server that stalls delays is in the percentiles.
//!
//! Its own cost is small: one read of the clock and one count in a histogram a call, no lock and no atomic but a plain
//! store for the live rate. Every shard of the node has its share of the calls and a histogram of its own; they are
//! merged at the end.

mod callee;
mod closed_loop;
mod error;
mod open_loop;
mod rates;
mod result;
mod running_load;
mod settings;
mod shard;
mod shard_load;
mod target_callee;

pub(crate) use self::callee::Callee;
pub use self::error::LoadError;
pub use self::rates::{RATES_MAX, Rate};
pub use self::result::LoadResult;
pub use self::running_load::RunningLoad;
pub(crate) use self::running_load::start_schedule;
pub(crate) use self::settings::Schedule;
pub use self::settings::{CALLS_PER_SECOND_MAX, Load, LoadModel, TargetLoad};
