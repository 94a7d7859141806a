//! An etcd of the measurement's own, with its data in a folder that vanishes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::network::Network;
use super::plan::NodesError;
use crate::process::Process;
use crate::supervisor::{ReadyError, Supervisor};

/// How long it may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// Whether it is installed.
pub(super) fn is_installed() -> bool {
    let found = Command::new("etcd")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// Starts it where all nodes reach it, and waits until it serves them.
pub(super) fn start(
    supervisor: &mut Supervisor,
    network: &Network,
    folder: &Path,
) -> Result<Process, NodesError> {
    let client = format!("http://{}", network.etcd_listen());
    let peer = format!("http://{}", network.etcd_peer());
    let mut command = network.command_between("etcd".as_ref());
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--log-level", "info", "--logger", "zap"])
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("default={peer}")])
        .stdin(Stdio::null());
    let process = supervisor
        .start("etcd", command)
        .map_err(NodesError::system("etcd cannot be started"))?;
    let serves = |line: &str| line.contains("serving client traffic").then_some(());
    match supervisor.wait_until_ready(&process, START_TIME_MAX, serves) {
        Ok(()) => Ok(process),
        Err(ReadyError::Ended { last_line }) => Err(NodesError::Ended {
            name: "etcd".to_owned(),
            last_line: last_line.unwrap_or_default(),
        }),
        Err(ReadyError::Wait(error)) => Err(NodesError::Waited {
            what: "the start of etcd",
            error,
            so_far: "it does not serve".to_owned(),
        }),
    }
}
