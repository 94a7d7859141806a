//! The settings of one measurement of `skyring bench`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use skyring::limits::CHANNELS_MAX;
use skyring::seri::Value;
use skyring::{ClusterMap, DialectChoice, Payload};
use skyring_bench::{Objective, PairPlan, Program, Running, RunningNode, Scheme, Target, TargetUrl};

use super::arguments::Arguments;
use crate::shared::cluster_map::{Reach, check_named, load_map, parse_address};
use crate::shared::programs::{node_program, rig_node_program};
use crate::shared::values::parse_value;

/// Calls in flight of a closed loop, and their maximum in an open one, without `--in-flight`. A higher maximum would not
/// make an open loop more accurate, as latency is measured from the time at which a call is due; but thousands of calls
/// that end in any order do not fit into the processor's caches, and a client that was late once would never catch up.
const IN_FLIGHT_CLOSED: u32 = 256;
const IN_FLIGHT_OPEN: u32 = 1_024;

/// The same for HTTP, where each call in flight has a connection of its own: servers accept a few hundred.
const IN_FLIGHT_HTTP: u32 = 64;

/// The name of a Skynet node that is a target, in the calling node's map.
const TARGET_NODE: &str = "target";

/// Duration of a measurement, and of each trial of a search, without `--seconds`.
const MEASUREMENT_TIME: Duration = Duration::from_secs(5);
const TRIAL_TIME: Duration = Duration::from_secs(2);

/// When calls begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Closed,
    Rate(f64),
    FindMax(Objective),
}

/// One measurement.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) pair: PairPlan,
    pub(super) mode: Mode,
    pub(super) in_flight: usize,
    pub(super) keys: usize,
    pub(super) payload: Payload,
    pub(super) size: usize,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    /// Whether both processes are profiled during the measurement.
    pub(super) is_profiled: bool,
    /// Whether the service is one that only the rig has.
    is_slowed: bool,
}

impl Plan {
    /// The measurement that the arguments describe.
    pub(super) fn new(arguments: &Arguments) -> Result<Plan, String> {
        let mode = match (arguments.rate, arguments.slo) {
            (Some(rate), _) => Mode::Rate(rate),
            (None, Some(objective)) => Mode::FindMax(objective),
            (None, None) => Mode::Closed,
        };
        let (in_flight, duration) = match mode {
            Mode::Closed => (IN_FLIGHT_CLOSED, MEASUREMENT_TIME),
            Mode::Rate(_) => (IN_FLIGHT_OPEN, MEASUREMENT_TIME),
            Mode::FindMax(_) => (IN_FLIGHT_OPEN, TRIAL_TIME),
        };
        let scheme = arguments.target.as_ref().map(|target| target.scheme);
        let is_http = scheme == Some(Scheme::Http);
        let in_flight = if is_http { IN_FLIGHT_HTTP } else { in_flight };
        let in_flight = arguments.in_flight.unwrap_or(in_flight);
        let channels = match arguments.channels {
            Some(channels) => channels,
            None if is_http => in_flight.min(CHANNELS_MAX),
            None => 1,
        };
        let keys = if channels > 1 { 65_536 } else { 0 };
        let (payload, size) = payload(arguments)?;
        Ok(Plan {
            pair: PairPlan {
                threads: arguments.threads as usize,
                channels,
                spin_us: arguments.spin_us,
                runtime: arguments.runtime.selected()?,
                dialect: match scheme {
                    Some(Scheme::Skynet) => DialectChoice::Skynet,
                    _ => arguments.dialect,
                },
                running: running(arguments)?,
                // With several shards each has an instance, and the key of a call selects the instance.
                kind: match (arguments.threads > 1, arguments.slow_down) {
                    (true, None) => "keyed echo",
                    (false, None) => "echo",
                    // One text for the whole run.
                    (true, Some(percent)) => String::leak(format!("keyed slow-echo {percent}")),
                    (false, Some(percent)) => String::leak(format!("slow-echo {percent}")),
                },
            },
            mode,
            in_flight: in_flight as usize,
            keys: arguments.keys.unwrap_or(keys) as usize,
            payload,
            size,
            warm_up: arguments.warmup,
            duration: arguments.seconds.unwrap_or(duration),
            is_profiled: arguments.flamegraph.is_some() || arguments.profile.is_some(),
            is_slowed: arguments.slow_down.is_some(),
        })
    }
}

impl Plan {
    /// The program of the server.
    ///
    /// # Errors
    /// When the path of this program is not known.
    pub(super) fn program(&self) -> io::Result<Program> {
        if self.is_slowed {
            rig_node_program()
        } else {
            node_program()
        }
    }
}

/// The payload of all calls, and its size: that of the value, or of the packed arguments.
fn payload(arguments: &Arguments) -> Result<(Payload, usize), String> {
    let packed = |payload: Result<Payload, skyring::Error>| payload.map_err(|error| error.to_string());
    if arguments.arguments.is_empty() || arguments.target.as_ref().is_some_and(is_foreign) {
        let size = arguments.size as usize;
        return Ok((packed(Payload::pack(&"x".repeat(size)))?, size));
    }
    let values: Vec<Value> = arguments.arguments.iter().cloned().map(parse_value).collect();
    let payload = packed(Payload::pack(&values))?;
    let size = payload.0.len();
    Ok((payload, size))
}

/// Whether a target is no node.
fn is_foreign(target: &TargetUrl) -> bool {
    target.scheme != Scheme::Skynet
}

fn running(arguments: &Arguments) -> Result<Option<Running>, String> {
    if let Some(url) = &arguments.target {
        return target(url, arguments).map(Some);
    }
    let (Some(file), Some(node), Some(service)) = (&arguments.map, &arguments.node, &arguments.address)
    else {
        return Ok(None);
    };
    let Reach { map, security, name } = load_map(file).map_err(|(_, cause)| cause)?;
    check_named(&map, file, node)?;
    let address = parse_address(service)?;
    Ok(Some(Running::Node(RunningNode {
        map,
        security: security.map(Box::new),
        caller: name,
        node: node.clone(),
        address,
        service: service.clone(),
    })))
}

/// A target: a node that speaks Skynet's dialect, or another's server.
fn target(url: &TargetUrl, arguments: &Arguments) -> Result<Running, String> {
    if is_foreign(url) {
        let words: Vec<Vec<u8>> = arguments
            .arguments
            .iter()
            .cloned()
            .map(OsString::into_vec)
            .collect();
        return Target::new(url.clone(), arguments.size as usize, &words).map(Running::Target);
    }
    if url.path.is_empty() {
        return Err(format!(
            "{url} names no service: expected skynet://HOST:PORT/SERVICE"
        ));
    }
    let service = match url.path.strip_prefix(['@', '.', ':']) {
        Some(_) => url.path.clone(),
        None => format!("@{}", url.path),
    };
    let map = ClusterMap::new()
        .with(TARGET_NODE, &url.authority())
        .map_err(|error| error.to_string())?;
    Ok(Running::Node(RunningNode {
        map,
        security: None,
        caller: String::new(),
        node: TARGET_NODE.to_owned(),
        address: parse_address(&service)?,
        service,
    }))
}
