//! A node as a process of its own: its files, its start and its restart.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use skyring::Runtime;
use thiserror::Error;

use crate::ports;
use crate::process::Process;
use crate::supervisor::{ReadyError, Supervisor, WaitError};

/// How long a node may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(15);

/// Attempts to start a node, each on another port.
const STARTS_MAX: usize = 2;

/// Why a node's process did not start.
#[derive(Debug, Error)]
pub enum NodeProcessError {
    /// Its files could not be written, or it could not be started.
    #[error("{name} cannot be started: {error}")]
    System {
        /// The node.
        name: &'static str,
        /// Why.
        error: io::Error,
    },
    /// It ended instead of listening.
    #[error("{name} ended before it listened: {last_line}")]
    Ended {
        /// The node.
        name: &'static str,
        /// The last line that it wrote.
        last_line: String,
    },
    /// It did not listen in time.
    #[error("{name} does not listen: {error}")]
    Waited {
        /// The node.
        name: &'static str,
        /// Why the wait ended.
        error: WaitError,
    },
}

/// The program that runs a node, with the path of its config as the last argument.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program's file.
    pub file: PathBuf,
    /// The arguments before the config.
    pub arguments: &'static [&'static str],
}

/// A node that is to run as a process.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its name in the cluster map, and of its files.
    pub name: &'static str,
    /// Its shards.
    pub threads: usize,
    /// How long a shard polls for I/O before it sleeps, in microseconds.
    pub spin_us: u32,
    /// What runs its shards.
    pub runtime: Runtime,
    /// Its one service: its registered name, and its kind.
    pub service: (&'static str, &'static str),
}

/// A node that runs as a process. Dropping it kills it.
#[derive(Debug)]
pub struct NodeProcess {
    name: &'static str,
    address: SocketAddr,
    program: Program,
    folder: PathBuf,
    process: Process,
}

impl NodeProcess {
    /// Writes a config and a map to `folder` and runs `program` on them there, on a free loopback port, or on another
    /// when that port is taken meanwhile. Returns when the node listens.
    ///
    /// # Errors
    /// [`NodeProcessError`]; then no process is left.
    pub fn start(
        supervisor: &mut Supervisor,
        program: &Program,
        folder: &Path,
        plan: &NodePlan,
    ) -> Result<NodeProcess, NodeProcessError> {
        let name = plan.name;
        let system = |error| NodeProcessError::System { name, error };
        let mut starts = 0;
        loop {
            starts += 1;
            let address = ports::free_loopback().map_err(system)?;
            write_files(folder, plan, address).map_err(system)?;
            match run(supervisor, program, folder, name) {
                Ok(process) => {
                    return Ok(NodeProcess {
                        name,
                        address,
                        program: program.clone(),
                        folder: folder.to_owned(),
                        process,
                    });
                }
                Err(NodeProcessError::Ended { .. }) if starts < STARTS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts it again after its end, at the same address. Returns when it listens.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self, supervisor: &mut Supervisor) -> Result<(), NodeProcessError> {
        self.process = run(supervisor, &self.program, &self.folder, self.name)?;
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn write_files(folder: &Path, plan: &NodePlan, address: SocketAddr) -> io::Result<()> {
    let NodePlan {
        name,
        threads,
        spin_us,
        runtime,
        service: (service, kind),
    } = plan;
    fs::write(
        folder.join(format!("{name}_map.lua")),
        format!("{name} = \"{address}\"\n"),
    )?;
    let config = format!(
        "thread = {threads}\nspin_us = {spin_us}\nruntime = \"{runtime}\"\nharbor = 0\ncluster = \"{name}_map.lua\"\nopen = \"{name}\"\n\
         services = {{ {service} = \"{kind}\" }}\n"
    );
    fs::write(folder.join(format!("{name}.lua")), config)
}

fn run(
    supervisor: &mut Supervisor,
    program: &Program,
    folder: &Path,
    name: &'static str,
) -> Result<Process, NodeProcessError> {
    let mut command = Command::new(&program.file);
    command
        .args(program.arguments)
        .arg(folder.join(format!("{name}.lua")))
        // The map is looked up here first: a file of that name elsewhere must not be read instead.
        .current_dir(folder)
        .stdin(Stdio::null());
    let process = supervisor
        .start(name, command)
        .map_err(|error| NodeProcessError::System { name, error })?;
    let listens = |line: &str| line.contains("Listen on").then_some(());
    match supervisor.wait_until_ready(&process, START_TIME_MAX, listens) {
        Ok(()) => Ok(process),
        Err(ReadyError::Ended { last_line }) => Err(NodeProcessError::Ended {
            name,
            last_line: last_line.unwrap_or_else(|| "it wrote nothing".to_owned()),
        }),
        Err(ReadyError::Wait(error)) => Err(NodeProcessError::Waited { name, error }),
    }
}
