//! The arguments of `skyring call`, and the request that they describe.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use clap_complete::ArgValueCompleter;
use skyring::config::NodeAddress;
use skyring::seri::Value;
use skyring::{Address, ClusterMap, Payload};

use super::complete;
use super::request::Request;
use crate::shared::cluster_map::{Reach, check_named, load_map, parse_address};
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE};
use crate::shared::values::{parse_text, parse_value};

const USAGE: &str = "skyring call [OPTIONS] --map <FILE> <NODE> <ADDRESS> <CMD> [ARGS]...
       skyring call [OPTIONS] --addr <HOST:PORT> <ADDRESS> <CMD> [ARGS]...
       skyring call --addr <HOST:PORT> <ADDRESS> --describe
       skyring call --addr <HOST:PORT> <ADDRESS> <CMD> --help";

const EXAMPLES: &str = "\
Examples:
  skyring call --addr 127.0.0.1:7102 @sdb SET name skyring
  skyring call --map docs/examples/cluster/clustername.lua db @sdb GET name
  skyring call --map docs/examples/secure-cluster/config_gate db @sdb GET name    with the node's secret
  skyring call --addr 127.0.0.1:7102 --string @sdb SET postcode 90210    text, not a number
  skyring call --addr 127.0.0.1:7102 @sdb SET depth -12.5                a negative number
  skyring call --addr 127.0.0.1:7102 @sdb GET -- --name                  text that begins with -
  skyring call --addr 127.0.0.1:7102 @shop --describe                    the commands of a typed service
  skyring call --addr 127.0.0.1:7102 @shop put --help                    one of them

ADDRESS is @name (published in the cluster), .name (local to that node), :0000000a or 10 (a handle).

CMD and ARGS that are numbers in JSON's grammar, true, false or nil are sent as such, everything else as \
text; --string sends all of them as text. Integers of more than 64 bits are text, too.

The values of the reply are printed one per line: text as it is, tables as Lua writes them. On a terminal, \
control characters other than line breaks and tabs are escaped.

Exit codes: 0 success, 1 the call failed (the cause is on the standard error), 2 the arguments or the map \
are invalid.";

/// The longest that `--timeout` takes, in seconds.
const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;

/// The arguments of `skyring call`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
#[command(group(ArgGroup::new("place").args(["map", "addr"]).required(true)))]
pub(crate) struct Arguments {
    /// The cluster map that names NODE, or a node config that names such a map, which also has the cluster secret
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Where the node listens, instead of a map and a name
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    addr: Option<NodeAddress>,
    /// Timeout of the call; 0 = none. A refused connection fails the call at once
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// Send CMD and ARGS as text, also numbers, true, false and nil
    #[arg(long)]
    string: bool,
    /// Send without a reply; wait only until the node has received it
    #[arg(long)]
    send: bool,
    /// List the commands of a typed service with their types, or describe CMD
    #[arg(long, conflicts_with_all = ["send", "string"])]
    describe: bool,
    /// With --describe: the interface as JSON, to compare versions with
    #[arg(long, requires = "describe")]
    json: bool,
    /// The node (only with --map), the service, its command and arguments
    #[arg(value_name = "ARG", required = true, allow_negative_numbers = true)]
    #[arg(add = ArgValueCompleter::new(complete::commands))]
    arguments: Vec<OsString>,
}

fn address(text: &str) -> Result<NodeAddress, String> {
    text.parse().map_err(|expected| format!("expected {expected}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        // Below a millisecond it would count as 0, which is no limit.
        Ok(seconds) if seconds == 0.0 || (0.001..=TIMEOUT_SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("expected seconds, 0.001 to {TIMEOUT_SECONDS_MAX}, or 0")),
    }
}

/// The place of a call: how the cluster is reached, the node and the service.
struct Place {
    reach: Reach,
    node: String,
    address: Address,
}

fn usage(cause: String) -> (u8, String) {
    (EXIT_USAGE, cause)
}

impl Arguments {
    /// Whether the interface is asked for.
    pub(super) fn is_describe(&self) -> bool {
        self.describe
    }

    /// Whether it is asked for as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// CMD, if it is there.
    pub(super) fn command(&self) -> Option<String> {
        let before = if self.addr.is_some() { 1 } else { 2 };
        let command = self.arguments.get(before)?;
        Some(command.to_string_lossy().into_owned())
    }

    /// The request that the arguments describe; an error is the exit code and the cause.
    pub(super) fn request(self) -> Result<Request, (u8, String)> {
        let mut arguments = self.arguments.into_iter();
        let place = place(self.map, self.addr, &mut arguments)?;
        let mut values = vec![next(
            &mut arguments,
            "CMD is missing: the command for the service",
        )?];
        values.extend(arguments);
        let parse = if self.string { parse_text } else { parse_value };
        let values: Vec<Value> = values.into_iter().map(parse).collect();
        Ok(Request {
            payload: Payload::pack(&values).map_err(|error| usage(error.to_string()))?,
            timeout: self.timeout,
            is_send: self.send,
            ..request_to(place)
        })
    }

    /// The request for the interface, without its payload; an error is the exit code and the cause.
    pub(super) fn request_to_describe(self) -> Result<Request, (u8, String)> {
        let place = place(self.map, self.addr, &mut self.arguments.into_iter())?;
        Ok(Request {
            timeout: self.timeout,
            ..request_to(place)
        })
    }
}

fn request_to(place: Place) -> Request {
    Request {
        reach: place.reach,
        node: place.node,
        address: place.address,
        payload: Payload::default(),
        timeout: Duration::ZERO,
        is_send: false,
    }
}

fn next(arguments: &mut impl Iterator<Item = OsString>, missing: &str) -> Result<OsString, (u8, String)> {
    arguments
        .next()
        .ok_or_else(|| usage(format!("{missing}; see skyring call --help")))
}

fn place(
    map: Option<PathBuf>,
    address: Option<NodeAddress>,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<Place, (u8, String)> {
    let (reach, node) = match (map, address) {
        (_, Some(address)) => {
            // The map has one node, and its address is its name: errors then name what the user named.
            let name = address.to_string();
            let map = ClusterMap::new().with(&name, &name);
            (Reach::of(map.map_err(|error| usage(error.to_string()))?), name)
        }
        (Some(file), None) => {
            let reach = load_map(&file)?;
            let node = next(arguments, "NODE is missing")?.to_string_lossy().into_owned();
            check_named(&reach.map, &file, &node).map_err(|cause| (EXIT_FAILURE, cause))?;
            (reach, node)
        }
        // clap does not let this through.
        (None, None) => return Err(usage("--map or --addr is missing".to_owned())),
    };
    let address = next(arguments, "ADDRESS is missing, for example @sdb")?;
    let address = parse_address(&address.to_string_lossy()).map_err(usage)?;
    Ok(Place { reach, node, address })
}
