//! The arguments of `skyring bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use skyring::DialectChoice;
use skyring::config::{SPIN_US_MAX, THREADS_MAX};
use skyring::limits::CHANNELS_MAX;
use skyring_bench::{CALLS_PER_SECOND_MAX, Objective, TargetUrl};

use super::{ab, chaos, compare, gate, history, ledger, nodes, peers, record, scenario, targets};
use crate::shared::runtime::RuntimeArgument;

const EXAMPLES: &str = "\
Examples:
  skyring bench                       one channel, 256 calls in flight, 64-byte values
  skyring bench --in-flight 1         the round trip of a single call, beside the blocking echo
  skyring bench --spin-us 50          shards poll 50 us before they sleep
  skyring bench --runtime glommio     the same on the other runtime
  skyring bench --rate 100k           an open loop: the percentiles include the time of stalls
  skyring bench --find-max --slo p99=1ms     the highest rate with a p99 of at most a millisecond
  skyring bench --channels 4 --threads 4     keyed calls over four channels
  skyring bench --html report.html --json result.json --hgrm latency.hgrm
  skyring bench --flamegraph flame.svg       the processor time of both sides
  skyring bench --map clustername.lua --node db --address @sdb -- GET name    a node that runs already
  skyring bench --target redis://127.0.0.1:6379 --channels 50 --in-flight 50     another's server: also skynet://, http:// and tcp-echo://
  skyring bench ab main my-branch     whether one of two revisions, programs or settings is faster
  skyring bench compare before.json after.json
  skyring bench record history.jsonl  append the figures of this revision, for skyring bench history
  skyring bench targets               the performance targets, and whether they are met
  skyring bench peers                 Skyring beside bare loops, Redis, Erlang and others
  skyring bench ledger                proof that no call is lost while connections are cut
  skyring bench nodes                 a hundred nodes on this machine: memory, idle time, failures

In a closed loop, the default, a caller begins its next call when its last one is answered. With --rate, an open \
loop, each call has a time at which it is due, and its latency is measured from that time, even if the call waits \
because --in-flight others are not answered yet.

Exit codes: 0 success, 1 failure or failed calls, 2 the arguments or a file are invalid.";

/// Bounds of the arguments.
const SECONDS_MIN: f64 = 0.1;
const SECONDS_MAX: f64 = 86_400.0;
const WARM_UP_SECONDS_MAX: f64 = 3_600.0;

/// The arguments of `skyring bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(group = clap::ArgGroup::new("called").args(["map", "target"]))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) action: Option<Action>,
    /// Calls in flight; with --rate or --find-max their maximum [default: 256, or 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) in_flight: Option<u32>,
    /// Open loop: begin so many calls per second, answered or not; 100k and 1.5M are valid numbers
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Search for the highest rate that meets --slo
    #[arg(long, requires = "slo", conflicts_with = "rate")]
    find_max: bool,
    /// Objective of --find-max: p50, p90, p99, p999 or max, and a time in us, ms or s
    #[arg(long, value_name = "p99=1ms", requires = "find_max")]
    pub(super) slo: Option<Objective>,
    /// Channels to the called node, or connections to a target [default: 1, or for http one for each call in flight]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CHANNELS_MAX)))]
    pub(super) channels: Option<u32>,
    /// Shards of each side
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX as i64))]
    pub(super) threads: u32,
    /// Number of keys, which select the channel; 0 = no keys [default: 0, with more than one channel 65536]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000_000))]
    pub(super) keys: Option<u32>,
    /// Size of the value in request and reply, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=16_000_000))]
    pub(super) size: u32,
    /// Seconds of measurement [default: 5, or 2 for each trial of a search]
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(super) seconds: Option<Duration>,
    /// Seconds of warm-up before the measurement
    #[arg(long, value_name = "N", default_value = "1", value_parser = warm_up)]
    pub(super) warmup: Duration,
    /// Microseconds that shards poll before they sleep; uses processor time
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(SPIN_US_MAX)))]
    pub(super) spin_us: u32,
    #[command(flatten)]
    pub(super) runtime: RuntimeArgument,
    /// auto = native with Skyring nodes, Skynet's with Skynet nodes; skynet = Skynet's with all
    #[arg(long, value_name = "auto|skynet", default_value = "auto", value_parser = dialect)]
    pub(super) dialect: DialectChoice,
    /// Measure a running node: the cluster map, or a node config, that names it
    #[arg(long, value_name = "FILE", requires_all = ["node", "address"])]
    pub(super) map: Option<PathBuf>,
    /// The name of the node in the map
    #[arg(long, value_name = "NAME", requires = "map")]
    pub(super) node: Option<String>,
    /// The service on that node: @name, .name or a handle
    #[arg(long, value_name = "ADDRESS", requires = "map")]
    pub(super) address: Option<String>,
    /// Measure another's server: redis://HOST:PORT, skynet://HOST:PORT/SERVICE, http://HOST:PORT/PATH or tcp-echo://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with_all = ["map", "keys"])]
    pub(super) target: Option<TargetUrl>,
    /// Write the figures to this file as JSON; - is the standard output, without the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the latencies to this file in HdrHistogram's percentile format
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    /// Write a page with curves to this file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write a flame graph of the processor time of both processes to this file
    #[arg(long, value_name = "FILE", conflicts_with = "find_max")]
    pub(super) flamegraph: Option<PathBuf>,
    /// Write the profile of both processes to this file, for skyring profile diff
    #[arg(long, value_name = "FILE", conflicts_with = "find_max")]
    pub(super) profile: Option<PathBuf>,
    /// Make both sides slower by so many percent, to test what measures them
    #[arg(long, hide = true, value_name = "PERCENT", conflicts_with_all = ["map", "target"], value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(super) slow_down: Option<u32>,
    /// Measure windows that the standard input requests, as skyring bench ab does
    #[arg(long, hide = true, conflicts_with_all = ["find_max", "json", "hgrm", "html", "flamegraph", "profile"])]
    pub(super) windows: bool,
    /// Arguments of the call, as with skyring call, instead of a value of --size; of a redis:// target, the command
    #[arg(value_name = "ARG", last = true, requires = "called", conflicts_with = "size")]
    pub(super) arguments: Vec<OsString>,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Measure Skyring beside floors and peers, and print the ratios
    Peers(peers::Arguments),
    /// Measure the performance targets, and print whether they are met
    Targets(targets::Arguments),
    /// Measure two programs, revisions or settings in turn, and say whether one is faster
    Ab(ab::Arguments),
    /// Print what two results of --json, or two sets of them, say about each other
    Compare(compare::Arguments),
    /// Measure a revision and append its figures to a history
    Record(record::Arguments),
    /// Draw the figures of a history over its revisions, and mark where they changed
    History(history::Arguments),
    /// Run the scenario that a file describes: mixes, phases, faults, objectives
    Run(scenario::Arguments),
    /// Make numbered calls while connections and processes fail, and verify that none is lost or run twice
    Ledger(ledger::Arguments),
    /// Run the ledger with all faults for half an hour, and record the memory
    Soak(ledger::SoakArguments),
    /// Run a TCP proxy that cuts, delays, trickles and stalls
    Chaos(chaos::Arguments),
    /// Run many nodes that are connected to each other, kill one, and part the network
    Nodes(nodes::Arguments),
    /// Measure a gate with many clients: memory, echo rate and latency
    Gate(gate::Arguments),
    /// Run a server of bench gate
    #[command(hide = true)]
    GateServer(gate::ServerArguments),
    /// Run the callee of a ledger
    #[command(hide = true)]
    LedgerNode(ledger::NodeArguments),
    /// Run one of the nodes of `nodes`
    #[command(hide = true)]
    MeshNode(nodes::MemberArguments),
}

/// Parses a number of calls per second, with the suffix k or M for thousands or millions.
fn rate(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    match number.parse::<f64>().map(|number| number * scale) {
        Ok(rate) if (1.0..=CALLS_PER_SECOND_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "expected calls a second, 1 to {CALLS_PER_SECOND_MAX}, as in 250000, 250k or 0.25M"
        )),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    seconds_within(text, SECONDS_MIN, SECONDS_MAX)
}

fn warm_up(text: &str) -> Result<Duration, String> {
    seconds_within(text, 0.0, WARM_UP_SECONDS_MAX)
}

fn seconds_within(text: &str, min: f64, max: f64) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (min..=max).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("expected seconds, {min} to {max}")),
    }
}

fn dialect(text: &str) -> Result<DialectChoice, String> {
    match text {
        "auto" => Ok(DialectChoice::Auto),
        "skynet" => Ok(DialectChoice::Skynet),
        _ => Err("expected auto or skynet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_have_bounds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(warm_up("0"), Ok(Duration::ZERO));
        for text in ["0", "0.01", "86401", "-1", "nan", "1s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_numbers_with_or_without_thousands() {
        for (text, expected) in [("1", 1.0), ("250000", 250e3), ("250k", 250e3), ("1.5M", 1.5e6)] {
            assert_eq!(rate(text), Ok(expected));
        }
        for text in ["", "0", "-1", "k", "1m", "nan", "inf", "2e9", "1 000"] {
            assert!(
                rate(text).is_err_and(|error| error.contains("as in 250000")),
                "{text}"
            );
        }
    }
}
