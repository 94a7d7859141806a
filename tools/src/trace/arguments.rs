//! The arguments of `skyring trace`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use skyring::Payload;
use skyring::seri::Value;

use super::collect::{TracedCall, Wanted};
use crate::shared::cluster_map::{Reach, check_named, load_map, parse_address};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE};
use crate::shared::values::parse_value;

const USAGE: &str = "skyring trace [OPTIONS] --map <FILE> <NODE> <ADDRESS> <CMD> [ARGS]...
       skyring trace --map <FILE> --id <TRACE>
       skyring trace --map <FILE> --slowest <COUNT> <NODE>";

const EXAMPLES: &str = "\
Examples:
  skyring trace --map docs/examples/cluster/clustername.lua db @sdb GET name    makes the call, and shows it
  skyring trace --map clustername.lua --id 4bf92f3577b34da6a3ce929d0e0e4736     a call of the log
  skyring trace --map clustername.lua --slowest 20 gate                         what takes longest on a node

CMD and ARGS are those of `skyring call`. Each line is one end of a call: how long it took, what was called, and when its \
request was sent, or its handler started, after it had begun. Lines below belong to the calls that it made.

Exit codes: 0 success, 1 the call failed or a node has not answered, 2 the arguments or the map are invalid.";

/// The most that `--slowest` takes.
const SLOWEST_MAX: i64 = 1000;

/// The longest that `--timeout` takes, in seconds.
const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;

/// The arguments of `skyring trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
#[command(group(ArgGroup::new("what").args(["id", "slowest"])))]
pub(crate) struct Arguments {
    /// The cluster map, or a node config that names such a map, which also has the cluster secret
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// The trace to look up on all nodes of the map, as a log line has it
    #[arg(long, value_name = "TRACE", value_parser = trace, conflicts_with = "arguments")]
    id: Option<u128>,
    /// So many of the last traced calls of NODE, those that took longest first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=SLOWEST_MAX))]
    slowest: Option<u32>,
    /// Timeout of the call
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// The node, and for a call the service, its command and arguments
    #[arg(
        value_name = "ARG",
        required_unless_present = "id",
        allow_negative_numbers = true
    )]
    arguments: Vec<OsString>,
}

/// What is wanted, and how the cluster is reached.
pub(super) struct Order {
    pub(super) reach: Reach,
    pub(super) wanted: Wanted,
}

fn trace(text: &str) -> Result<u128, String> {
    let is_hex = text.len() <= 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let trace = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    trace
        .filter(|trace| *trace != 0)
        .ok_or_else(|| "expected up to 32 hexadecimal digits".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=TIMEOUT_SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("expected seconds, 0.001 to {TIMEOUT_SECONDS_MAX}")),
    }
}

impl Arguments {
    /// What the arguments say; an error is the exit code and the cause.
    pub(super) fn order(self) -> Result<Order, (u8, String)> {
        let usage = |cause: String| (EXIT_USAGE, cause);
        let reach = load_map(&self.map)?;
        if let Some(trace) = self.id {
            let wanted = Wanted::Trace(trace);
            return Ok(Order { reach, wanted });
        }
        let mut arguments = self.arguments.into_iter();
        let mut next = |what: &str| {
            let missing = || usage(format!("{what} is missing; see skyring trace --help"));
            arguments.next().ok_or_else(missing)
        };
        let node = next("NODE")?.to_string_lossy().into_owned();
        check_named(&reach.map, &self.map, &node).map_err(|cause| (EXIT_FAILURE, cause))?;
        if let Some(count) = self.slowest {
            if let Some(more) = arguments.next() {
                let more = more.to_string_lossy();
                return Err(usage(format!("{more}: --slowest takes only a node")));
            }
            let count = count as usize;
            let wanted = Wanted::Slowest { node, count };
            return Ok(Order { reach, wanted });
        }
        let address = next("ADDRESS")?;
        let address = parse_address(&address.to_string_lossy()).map_err(usage)?;
        let command = next("CMD")?;
        let values: Vec<Value> = std::iter::once(command)
            .chain(arguments)
            .map(parse_value)
            .collect();
        let call = TracedCall {
            node,
            address,
            payload: Payload::pack(&values).map_err(|error| usage(error.to_string()))?,
            timeout: self.timeout,
        };
        let wanted = Wanted::Call(call);
        Ok(Order { reach, wanted })
    }
}
