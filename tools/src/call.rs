//! `skyring call`: one call to a service of a running node, from a node of its own with one shard.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use clap::ArgGroup;
use skyring::config::{Checked, NodeAddress};
use skyring::log::Destination;
use skyring::seri::Value;
use skyring::{Address, ClusterMap, Error, Handle, Node, Payload};

use crate::say::{self, FAILED, WRONG};
use crate::word;

const USAGE: &str = "skyring call [OPTIONS] --map <FILE> <NODE> <ADDRESS> <CMD> [ARGS]...
       skyring call [OPTIONS] --addr <HOST:PORT> <ADDRESS> <CMD> [ARGS]...";

const EXAMPLES: &str = "\
Examples:
  skyring call --addr 127.0.0.1:7102 @sdb SET name skyring
  skyring call --map docs/examples/cluster/clustername.lua db @sdb GET name
  skyring call --addr 127.0.0.1:7102 --string @sdb SET postcode 90210    text, not a number
  skyring call --addr 127.0.0.1:7102 @sdb SET depth -12.5                a negative number
  skyring call --addr 127.0.0.1:7102 @sdb GET -- --name                  text that begins with -

ADDRESS is @name (published in the cluster), .name (local to that node), :0000000a or 10 (a handle).

CMD and ARGS that are numbers as JSON writes them, true, false or nil are sent as such, everything else as \
text; --string sends all of them as text. Whole numbers past 64 bits are text, too.

The answered values are printed one a line: text as it is, tables as Lua writes them. On a terminal, \
control characters other than line breaks and tabs are escaped.

Exit codes: 0 answered, 1 the call failed (the cause is on the standard error), 2 the arguments or the map \
are wrong.";

/// The longest that `--timeout` takes, in seconds.
const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;

/// Time between two looks at whether the node is reached at all.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Swallows the log of the calling node: what it would say is said by the error.
const LOG_SINK: &str = "/dev/null";

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
#[command(group(ArgGroup::new("place").args(["map", "addr"]).required(true)))]
pub(crate) struct Arguments {
    /// The cluster map that names NODE, or a node config that names such a map
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Where the node listens, instead of a map and a name
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    addr: Option<NodeAddress>,
    /// How long to wait for the answer; 0 = for ever. A node that refuses the connection is not waited for
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// Send CMD and ARGS as text, whatever they look like
    #[arg(long)]
    string: bool,
    /// Send, and wait only until the node has taken it; the service answers nothing
    #[arg(long)]
    send: bool,
    /// The node (only with --map), the service, and what it is told
    #[arg(value_name = "WORD", required = true, allow_negative_numbers = true)]
    words: Vec<OsString>,
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

/// What goes where.
#[derive(Debug)]
struct Order {
    map: ClusterMap,
    node: String,
    address: Address,
    payload: Payload,
    timeout: Duration,
    is_send: bool,
}

/// Calls, prints the answer, and gives the exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let order = match order(arguments) {
        Ok(order) => order,
        Err((code, cause)) => return say::fail(code, cause),
    };
    let answer = carry_out(order).and_then(|payload| payload.values().map_err(|error| error.to_string()));
    match answer.map(|values| print(&values)) {
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            say::fail(FAILED, format!("cannot write the answer: {error}"))
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(cause) => say::fail(FAILED, cause),
    }
}

/// Makes sense of the arguments; an error is the exit code and the cause.
fn order(arguments: Arguments) -> Result<Order, (u8, String)> {
    let wrong = |cause: String| (WRONG, cause);
    let mut words = arguments.words.into_iter();
    let mut next = |what: &str| {
        words
            .next()
            .ok_or_else(|| wrong(format!("{what}; see skyring call --help")))
    };
    let (map, node) = match (arguments.map, arguments.addr) {
        (_, Some(address)) => {
            // The map has one node, and its address is its name: errors then name what the user named.
            let name = address.to_string();
            let map = ClusterMap::new().with(&name, &name);
            (map.map_err(|error| wrong(error.to_string()))?, name)
        }
        (Some(file), None) => {
            let map = load_map(&file).map_err(wrong)?;
            let node = next("NODE is missing")?.to_string_lossy().into_owned();
            known(&map, &file, &node).map_err(|cause| (FAILED, cause))?;
            (map, node)
        }
        // clap does not let this through.
        (None, None) => return Err(wrong("--map or --addr is missing".to_owned())),
    };
    let address = next("ADDRESS is missing, for example @sdb")?;
    let address = address.to_string_lossy();
    let address = Address::parse(&address).ok_or_else(|| wrong(no_address(&address)))?;
    let mut values = vec![next("CMD is missing: what to tell the service")?];
    values.extend(words);
    let read = if arguments.string { word::text } else { word::value };
    let values: Vec<Value> = values.into_iter().map(read).collect();
    Ok(Order {
        map,
        node,
        address,
        payload: Payload::pack(&values).map_err(|error| wrong(error.to_string()))?,
        timeout: arguments.timeout,
        is_send: arguments.send,
    })
}

/// Fails when the map does not name the node, or the group.
pub(crate) fn known(map: &ClusterMap, file: &Path, node: &str) -> Result<(), String> {
    let groups = map.groups.iter().filter(|(_, group)| group.is_some());
    let known = map.nodes.keys().chain(groups.map(|(name, _)| name));
    let known: Vec<&str> = known.map(String::as_str).collect();
    if known.contains(&node) {
        return Ok(());
    }
    let known = if known.is_empty() {
        "no nodes".to_owned()
    } else {
        known.join(", ")
    };
    let file = map.file.as_deref().unwrap_or(file).display();
    Err(format!(
        "absent: node {node} is not in the cluster map {file}, which has {known}"
    ))
}

/// What is wrong with a text that is no address.
pub(crate) fn no_address(text: &str) -> String {
    format!("\"{text}\" is not the address of a service: @name, .name, :0000000a or 10")
}

/// The cluster map in a file, or the one that a node config names.
pub(crate) fn load_map(file: &Path) -> Result<ClusterMap, String> {
    match skyring::config::check(file) {
        Ok(Checked::Map(map, _)) | Ok(Checked::Node(_, Some(map))) => Ok(map),
        Ok(Checked::Node(_, None)) => Err(format!(
            "{}: a node config that names no cluster map",
            file.display()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the node, calls, and stops it.
fn carry_out(order: Order) -> Result<Payload, String> {
    let builder = Node::builder()
        // The one who calls says how long that may take.
        .down_after(Duration::ZERO)
        .map(order.map)
        .log_to(Destination::File(LOG_SINK.into()));
    let node = builder.start().map_err(|error| error.to_string())?;
    let (name, address, payload) = (order.node.clone(), order.address, order.payload);
    let (timeout, is_send) = (order.timeout, order.is_send);
    let answer = node.run(move |caller| async move {
        let peer = caller.node(name);
        if !is_send {
            return peer.call_payload(address, Ok(payload)).timeout(timeout).await;
        }
        peer.send_payload(address, payload);
        // What one caller says arrives in order: once this question is answered the send has arrived.
        match peer.call(Handle::NONE, &"").timeout(timeout).await {
            Err(Error::NoSuchService { .. }) => Ok(Payload::default()),
            answer => answer.map(|_| Payload::default()),
        }
    });
    let answer = answer.map_err(|error| error.to_string())?;
    let answer = loop {
        match answer.recv_timeout(LOOK_INTERVAL) {
            Ok(answer) => break answer,
            Err(RecvTimeoutError::Disconnected) => break Err(Error::ShuttingDown),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(error) = unreachable(&node, &order.node) {
                    break Err(error);
                }
            }
        }
    };
    node.stop();
    answer.map_err(|error| error.to_string())
}

/// Why the peer cannot be reached, if an attempt to connect has failed. The engine goes on trying until the
/// call's deadline, which is right for a node among nodes; who types a command wants to know now.
fn unreachable(node: &Node, name: &str) -> Option<Error> {
    if node.metrics().connects_failed.get() == 0 {
        return None;
    }
    // A call that is out of time before it is sent is answered with what stood in its way.
    let name = name.to_owned();
    let answer = node.block_on(move |caller| async move {
        let call = caller.node(name).call(Handle::NONE, &"");
        call.timeout(Duration::from_millis(1)).await
    });
    match answer {
        Ok(Err(error @ Error::Unreachable { .. })) => Some(error),
        _ => None,
    }
}

/// Prints one value a line.
fn print(values: &[Value]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let is_terminal = output.is_terminal();
    let mut text = Vec::new();
    for value in values {
        match value {
            Value::String(bytes) if !is_terminal => text.extend_from_slice(bytes),
            value if is_terminal => text.extend_from_slice(word::shown(&value.to_string()).as_bytes()),
            value => text.extend_from_slice(value.to_string().as_bytes()),
        }
        text.push(b'\n');
    }
    output.write_all(&text)
}
