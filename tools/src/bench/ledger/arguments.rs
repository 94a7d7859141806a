//! The arguments of `skyring bench ledger` and `skyring bench soak`.

use std::path::PathBuf;
use std::time::Duration;

use skyring::Runtime;
use skyring::config::{THREADS_MAX, WhenDown};
use skyring_bench::{Faults, LEDGER_CALLERS_MAX};

use super::fault_schedule::FaultSchedule;
use crate::bench::network_faults::FaultArguments;
use crate::shared::runtime::RuntimeArgument;

const EXAMPLES: &str = "\
Examples:
  skyring bench ledger --rate 50000 --seconds 60 --cuts-per-second 10
  skyring bench ledger --kill-every 5 --pause-every 20 --reload-every 3 --html ledger.html
  skyring bench ledger --group --kill-every 5
  skyring bench ledger --dialect skynet --cuts-per-second 10
  skyring bench ledger --when-down wait --kill-every 10 --down-seconds 5 --timeout-ms 30000

Exit code 1 if a call was lost, run twice, out of order or late, or if it ran although its error said that it had not.";

const SOAK_EXAMPLES: &str = "\
Examples:
  skyring bench soak --minutes 30 --html soak.html

Runs `skyring bench ledger` with all faults at once: 10 cuts per second, a SIGKILL and restart every
20 s, a SIGSTOP of 5 s every 60 s, and a reload of the map every 7 s.";

/// The dialects between callers and callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Dialect {
    /// The native dialect
    Auto,
    /// The dialect of Skynet, as if the callee were a Skynet node
    Skynet,
}

/// What happens to calls while the callee is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WhenDownArgument {
    /// They fail at once
    Fail,
    /// They wait until their timeout
    Wait,
}

impl From<WhenDownArgument> for WhenDown {
    fn from(argument: WhenDownArgument) -> WhenDown {
        match argument {
            WhenDownArgument::Fail => WhenDown::Fail,
            WhenDownArgument::Wait => WhenDown::Wait,
        }
    }
}

/// The arguments of both commands.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CommonArguments {
    /// Calls per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(super) rate: Option<u32>,
    /// Callers; the first half posts its calls, the second half awaits each call
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=LEDGER_CALLERS_MAX as i64))]
    pub(super) callers: u32,
    /// Timeout of a call, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(super) timeout_ms: u64,
    /// Largest payload of a call beside its numbers, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub(super) size: u32,
    /// Shards of the callee
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    pub(super) threads: u32,
    /// Channels to the callee
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(super) channels: u32,
    /// Call a group of two callees with the policy failover; faults hit the first
    #[arg(long)]
    pub(super) group: bool,
    /// Mark all calls idempotent, so that they may be sent again
    #[arg(long)]
    pub(super) idempotent: bool,
    /// What happens to calls while the callee is down: they fail, or wait for it
    #[arg(long, value_enum, default_value = "fail")]
    pub(super) when_down: WhenDownArgument,
    /// Dialect between callers and callee
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) dialect: Dialect,
    #[command(flatten)]
    runtime: RuntimeArgument,
    /// Write the result to this file as JSON; - is the standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write a page with memory, calls and latency over time
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the same figures as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
}

/// The arguments of `skyring bench ledger`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Seconds of the run
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    #[command(flatten)]
    faults: FaultArguments,
    /// Kill the callee with SIGKILL and restart it, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    kill_every: Option<f64>,
    /// Time from SIGKILL to the restart
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    down_seconds: f64,
    /// Stop the callee gracefully with SIGTERM and restart it, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    terminate_every: Option<f64>,
    /// Pause the callee with SIGSTOP, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    pause_every: Option<f64>,
    /// Duration of a pause
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pause_seconds: f64,
    /// Change the address of the callee by a reload of the map, every so many seconds
    #[arg(long, value_name = "SECONDS")]
    reload_every: Option<f64>,
}

/// The arguments of `skyring bench soak`.
#[derive(Debug, clap::Args)]
#[command(after_help = SOAK_EXAMPLES)]
pub(crate) struct SoakArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Minutes of the run
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f64,
}

/// What one run of the ledger does.
pub(super) struct Plan {
    pub(super) common: CommonArguments,
    pub(super) rate: u32,
    pub(super) runtime: Runtime,
    pub(super) duration: Duration,
    pub(super) network: Faults,
    pub(super) processes: FaultSchedule,
}

/// Calls per second without `--rate`.
const RATE_DEFAULT: u32 = 10_000;

/// The longest time between two faults of a kind, and the longest run, in seconds.
const SECONDS_MAX: f64 = 1e9;

fn every(seconds: Option<f64>) -> Option<Duration> {
    // With a shorter interval one fault would follow the other without end.
    seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.1, SECONDS_MAX)))
}

impl CommonArguments {
    fn plan(&self, duration: Duration, network: Faults, processes: FaultSchedule) -> Result<Plan, String> {
        Ok(Plan {
            rate: self.rate.unwrap_or(RATE_DEFAULT),
            runtime: self.runtime.selected()?,
            common: self.clone(),
            duration,
            network,
            processes,
        })
    }
}

impl Arguments {
    /// The run that the arguments describe.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let processes = FaultSchedule {
            kill: every(self.kill_every),
            down_time: Duration::from_secs_f64(self.down_seconds.clamp(0.0, SECONDS_MAX)),
            terminate: every(self.terminate_every),
            pause: every(self.pause_every),
            pause_time: Duration::from_secs_f64(self.pause_seconds.clamp(0.0, SECONDS_MAX)),
            reload: every(self.reload_every),
        };
        let duration = Duration::from_secs(self.seconds);
        self.common.plan(duration, self.faults.faults(), processes)
    }
}

impl SoakArguments {
    /// The run that the arguments describe: all faults at once.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let network = Faults {
            cuts_per_second: 10.0,
            ..Faults::default()
        };
        let processes = FaultSchedule {
            kill: every(Some(20.0)),
            down_time: Duration::ZERO,
            terminate: None,
            pause: every(Some(60.0)),
            pause_time: Duration::from_secs(5),
            reload: every(Some(7.0)),
        };
        let duration = Duration::from_secs_f64((self.minutes * 60.0).clamp(1.0, SECONDS_MAX));
        self.common.plan(duration, network, processes)
    }
}
