//! What measuring Skyring needs: a load, a floor to compare it with, and nodes as processes of their own.
//!
//! - [`Load`] keeps a number of calls in flight from a node of this process and measures them.
//! - [`blocking_echo`] is the floor: the same bytes, one at a time, through two plain blocking sockets.
//! - [`ChaosProxy`] is a network that fails, and [`LedgerPlan`] a load whose every call is accounted for.
//! - [`Server`] runs a node as a process, from a config it writes; [`Watch`] hears what processes say.
//!
//! Invariants: every wait here has a bound and ends when somebody interrupts the program; a process that
//! was started here ends with the value that stands for it, whatever way the program ends short of SIGKILL.

mod chaos;
mod compare;
mod cpu;
mod floor;
pub mod floors;
mod interrupt;
mod ledger;
mod load;
mod machine;
mod measurement;
mod memory;
mod objective;
mod page;
mod pair;
pub mod peers;
mod percentiles;
mod ports;
mod process;
mod profile;
mod report;
mod scratch;
mod search;
mod server;
pub mod targets;
mod watch;

pub use chaos::{CHAOS_CONNECTIONS_MAX, CHAOS_HELD_BYTES_MAX, ChaosCounts, ChaosProxy, Faults};
pub use compare::compare;
pub use cpu::{allowed_cpus, cpu_seconds};
pub use floor::{Floor, FloorError, blocking_echo};
pub use interrupt::Interrupt;
pub use ledger::{
    LATE_TOLERANCE, LEDGER_CALLERS_MAX, LedgerCounts, LedgerError, LedgerPlan, LedgerResult, Recoveries,
    RunningLedger, SAMPLES_MAX, Sample, Violations, ledger_kind, samples_csv, samples_page,
};
pub use load::{
    CALLS_PER_SECOND_MAX, CpuSeconds, Load, LoadError, LoadResult, Pace, RATES_MAX, Rate, RunningLoad,
};
pub use machine::Machine;
pub use measurement::{Drawn, FloorFigures, Measurement, Search, Settings, Trial};
pub use memory::resident_bytes;
pub use objective::{Objective, Percentile};
pub use pair::{Calls, Pair, PairError, PairPlan, Running};
pub use percentiles::to_percentiles;
pub use process::{Event, Happening, LINE_BYTES_MAX, Process, end_with_parent};
pub use profile::{Profile, ProfileError, Profiled, Recorder};
pub use report::{Latency, duration, grouped};
pub use scratch::Scratch;
pub use search::{TRIALS_MAX, highest_rate};
pub use server::{NodePlan, Program, Server, ServerError};
pub use watch::{Watch, WatchError};
