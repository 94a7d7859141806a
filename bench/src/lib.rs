//! The load rig: a load, floors and peers to compare it with, and nodes as processes of their own.
//!
//! - [`Load`] keeps a number of calls in flight from a node of this process and measures them.
//! - [`blocking_echo`] is the floor: the same bytes, one at a time, through two plain blocking sockets.
//! - [`ChaosProxy`] is a network that fails, and [`LedgerPlan`] a load whose every call is accounted for.
//! - [`measure_nodes`] runs many nodes that are connected to each other, and kills and parts them.
//! - [`NodeProcess`] runs a node as a process, from a config it writes; [`Supervisor`] receives the events of processes.
//!
//! Invariants: every wait here has a bound and ends when the user interrupts the program; a process that was started here
//! ends when its value is dropped, however the program ends short of SIGKILL.

pub mod ab;
mod blocking_echo;
mod chaos;
mod compare;
mod costs;
mod cpu;
pub mod floors;
mod foreign;
mod format;
pub mod gate;
pub mod history;
mod html;
mod idle_thread;
mod interrupt;
mod latency;
mod ledger;
mod load;
mod machine;
mod measurement;
mod median;
mod memory;
mod node_process;
mod nodes;
mod objective;
mod pair;
pub mod peers;
mod percentiles;
mod pinned_thread;
mod ports;
mod process;
mod process_tree;
mod profile;
mod ring;
mod scenario;
mod search;
mod slow_echo;
pub mod statistics;
mod supervisor;
pub mod targets;
mod temp_dir;
mod unrest;
pub mod verdict;

pub use blocking_echo::{Floor, FloorError, blocking_echo};
pub use chaos::{CHAOS_CONNECTIONS_MAX, CHAOS_HELD_BYTES_MAX, ChaosCounts, ChaosProxy, Faults};
pub use compare::{Comparison, compare};
pub use costs::{AllocationCounter, CallCosts, Sides, set_allocation_counter};
pub use cpu::{CpuSeconds, allowed_cpus, cpu_seconds};
pub use foreign::{ANSWER_BYTES_MAX, Scheme, Target, TargetError, TargetUrl};
pub use format::{duration, grouped};
pub use interrupt::Interrupt;
pub use latency::Latency;
pub use ledger::{
    LATE_TOLERANCE, LEDGER_CALLERS_MAX, LedgerCounts, LedgerError, LedgerPlan, LedgerResult, Recoveries,
    RunningLedger, SAMPLES_MAX, Sample, Violations, ledger_kind, samples_csv, samples_page,
};
pub use load::{
    CALLS_PER_SECOND_MAX, Load, LoadError, LoadModel, LoadResult, RATES_MAX, Rate, RunningLoad, TargetLoad,
};
pub use machine::Machine;
pub use measurement::{ChartData, FloorFigures, Measurement, Search, Settings, Trial};
pub use memory::resident_bytes;
pub use node_process::{NodePlan, NodeProcess, NodeProcessError, Program};
pub use nodes::{
    Growth, Killed, MemberError, NODES_MAX, NodesError, NodesPlan, NodesResult, Parted, Retries, Spread,
    measure_nodes, serve_member,
};
pub use objective::{Objective, Percentile};
pub use pair::{Calls, Pair, PairError, PairPlan, Running, RunningNode};
pub use percentiles::to_percentiles;
pub use process::{Event, EventKind, LINE_BYTES_MAX, Process, end_with_parent};
pub use profile::{
    Changes, Difference, FUNCTIONS_CHANGED_MAX, FunctionChange, Profile, ProfileError, Profiled, Profiling,
    Recorder,
};
pub use scenario::{
    Operation, OperationFigures, PhaseFigures, Scenario, ScenarioError, ScenarioResult, Verdict,
    run as run_scenario,
};
pub use search::{MISSES_MIN, RateRange, TRIALS_MAX, highest_rate};
pub use slow_echo::slow_echo_kind;
pub use supervisor::{Supervisor, WaitError};
pub use temp_dir::TempDir;
pub use unrest::{Gap, Gaps, Unrest, Watch, Watched, measure_gaps};
