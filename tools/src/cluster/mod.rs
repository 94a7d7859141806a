//! `skyring cluster`: the nodes of a cluster with their states, and edits of the source that names them.

mod edit;
mod source;
mod states;
mod table;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgGroup;
use skyring::config::NodeAddress;

use self::source::Source;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};

const EXAMPLES: &str = "\
Examples:
  skyring cluster --map docs/examples/cluster/clustername.lua
  skyring cluster --map docs/examples/cluster/clustername.lua set db 127.0.0.1:7112
  skyring cluster --discovery '{ etcd = { \"127.0.0.1:2379\" }, prefix = \"/skyring/game/\" }'
  skyring cluster --map config_gate set db false       turn db off, in the source that the config names

FILE is a cluster map, or a node config: then its `discovery` says where the nodes are, and its map. Each node is \
connected to once. set and unset edit etcd where there is one, and else the map file: its other text stays, and it is \
replaced as a whole. A node that watches the file keeps an entry that is removed; false turns the node off.

Exit codes: 0 success, 1 the source cannot be read or edited, 2 the arguments or the file are invalid.";

/// The longest that `--timeout` takes, in seconds.
const TIMEOUT_SECONDS_MAX: f64 = 60.0;

/// The arguments of `skyring cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("place").args(["map", "discovery"]).required(true)))]
pub(crate) struct Arguments {
    /// A cluster map, or a node config
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The discovery of a node config, as it stands there
    #[arg(long, value_name = "TABLE")]
    discovery: Option<String>,
    /// How long a node may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    timeout: Duration,
    #[command(subcommand)]
    edit: Option<Edit>,
}

/// An edit of the source.
#[derive(Debug, clap::Subcommand)]
enum Edit {
    /// Set where a node is, or turn it off
    Set {
        /// The node
        name: String,
        /// Where it listens, or false
        #[arg(value_name = "HOST:PORT|false", value_parser = entry)]
        entry: Entry,
    },
    /// Remove a node
    Unset {
        /// The node
        name: String,
    },
}

/// What a node is set to; `None` = off.
#[derive(Debug, Clone)]
struct Entry(Option<NodeAddress>);

fn entry(text: &str) -> Result<Entry, String> {
    if text == "false" {
        return Ok(Entry(None));
    }
    let address = text
        .parse()
        .map_err(|expected| format!("expected {expected}, or false"));
    address.map(|address| Entry(Some(address)))
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=TIMEOUT_SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("expected seconds, 0.1 to {TIMEOUT_SECONDS_MAX}")),
    }
}

/// Shows the nodes, or edits the source.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let source = match (&arguments.map, &arguments.discovery) {
        (Some(file), _) => Source::of_file(file),
        (None, text) => Source::of_text(text.as_deref().unwrap_or_default()),
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => return fail(EXIT_USAGE, error),
    };
    let text = match arguments.edit {
        None => show(&source, arguments.timeout),
        Some(Edit::Set { name, entry }) => source.set(&name, entry.0.as_ref()),
        Some(Edit::Unset { name }) => source.unset(&name),
    };
    let written = text.map(|text| ignore_broken_pipe(io::stdout().write_all(text.as_bytes())));
    match written {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(EXIT_FAILURE, format!("cannot write: {error}")),
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn show(source: &Source, timeout: Duration) -> Result<String, String> {
    let nodes = source.nodes()?;
    let states = states::ask(source, &nodes, timeout)?;
    Ok(table::text(&nodes, &states))
}
