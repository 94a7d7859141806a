//! The process of a callee of the ledger, or of an echo that is slower on purpose.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use skyring::config::{ConfigError, NodeConfig};
use skyring::{NodeBuilder, StartError};
use skyring_bench::{Interrupt, end_with_parent, ledger_kind, slow_echo_kind};
use thiserror::Error;

use crate::shared::output::{EXIT_FAILURE, fail};

/// Why a callee cannot run.
#[derive(Debug, Error)]
enum NodeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// The arguments of the process of a callee.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArguments {
    config: PathBuf,
}

/// Runs a callee, a node whose config may name the kinds `ledger` and `slow-echo`, until a signal stops it.
pub(crate) fn run_node(arguments: &NodeArguments) -> ExitCode {
    match serve(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, error),
    }
}

fn serve(config: &Path) -> Result<(), NodeError> {
    end_with_parent()?;
    let interrupt = Interrupt::catch()?;
    let (config, map) = NodeConfig::load_with_map(config)?;
    let node = NodeBuilder::from_config(config, map)
        .kinds(slow_echo_kind(ledger_kind(skyring_services::kinds())))
        .start()?;
    while !interrupt.requested() {
        thread::sleep(Duration::from_millis(20));
    }
    node.stop();
    Ok(())
}
