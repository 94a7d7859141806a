//! `skyring doctor`: looks at the machine, and with a config at the node, and says what to do about each thing that
//! would stop it, slow it down or surprise its user.
//!
//! [`facts`] reads what the system says, and [`rules`] judges that and touches nothing; [`config`] looks at what belongs
//! to a node.

mod config;
mod facts;
mod finding;
mod ports;
mod rules;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use skyring::Runtime;

use self::facts::Facts;
use self::finding::{Finding, Level, report};
use crate::shared::node_config::load_node;
use crate::shared::output::{EXIT_FAILURE, EXIT_USAGE, fail, ignore_broken_pipe};
use crate::shared::runtime::RuntimeArgument;

const EXAMPLES: &str = "\
Examples:
  skyring doctor                                  the machine
  skyring doctor docs/examples/cluster/config_db  the machine, and the node of this config

Each line begins with ok, note, warning or failure, and says what to do. A node does not start with a failure: exit code 1. \
It starts with a warning, and is slower, or runs against a limit. A note is for information. Other nodes are connected to \
for a moment, and nothing is changed.";

/// The arguments of `skyring doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The config of a node
    config: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgument,
}

/// Judges the machine, and the node of a config, and prints what it found.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let node = match arguments.config.as_deref().map(load_node).transpose() {
        Ok(node) => node,
        Err(error) => return fail(EXIT_USAGE, error),
    };
    let config = node.as_ref().map(|(config, _)| config);
    let runtime = match arguments
        .runtime
        .given()
        .or(config.and_then(|config| config.runtime))
    {
        Some(runtime) => runtime,
        None => match Runtime::from_environment() {
            Ok(runtime) => runtime,
            Err(error) => return fail(EXIT_USAGE, error),
        },
    };
    let facts = Facts::read(runtime);
    let mut findings: Vec<Finding> = rules::machine(&facts);
    if let Some((config, map)) = &node {
        findings.extend(config::judge(config, map.as_ref(), &facts));
    }
    match ignore_broken_pipe(anstream::stdout().write_all(report(&findings).as_bytes())) {
        Err(error) => fail(EXIT_FAILURE, format!("cannot write: {error}")),
        Ok(()) if findings.iter().any(|finding| finding.level == Level::Failure) => {
            ExitCode::from(EXIT_FAILURE)
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}
