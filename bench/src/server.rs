//! A node as a process of its own: its files, its start, and its next life.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use thiserror::Error;

use crate::ports;
use crate::process::{Happening, Process};
use crate::watch::{Watch, WatchError};

/// How long a node may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(15);

/// How often a start is tried, each time on another port.
const STARTS_MAX: usize = 2;

/// Why a node's process did not come up.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Its files could not be written, or it could not be started.
    #[error("{name} cannot be started: {error}")]
    System {
        /// The node.
        name: &'static str,
        /// Why.
        error: io::Error,
    },
    /// It ended instead of listening.
    #[error("{name} ended before it listened: {said}")]
    Ended {
        /// The node.
        name: &'static str,
        /// The last line that it wrote.
        said: String,
    },
    /// It was waited for in vain.
    #[error("{name} does not listen: {error}")]
    Waited {
        /// The node.
        name: &'static str,
        /// Why not longer.
        error: WatchError,
    },
}

/// What runs a node, given the path of its config as one more argument.
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
    /// How long a shard looks for I/O before it sleeps, in microseconds.
    pub spin_us: u32,
    /// Its one service: the name that it is registered under, and its kind.
    pub service: (&'static str, &'static str),
}

/// A node that runs as a process. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    address: SocketAddr,
    program: Program,
    folder: PathBuf,
    process: Process,
}

impl Server {
    /// Writes a config and a map to `folder` and runs `program` on them there, on a free loopback port; should
    /// that port be taken before the node has it, on another. Returns when it listens.
    ///
    /// # Errors
    /// [`ServerError`]; then no process is left.
    pub fn start(
        watch: &mut Watch,
        program: &Program,
        folder: &Path,
        plan: &NodePlan,
    ) -> Result<Server, ServerError> {
        let name = plan.name;
        let system = |error| ServerError::System { name, error };
        let mut starts = 0;
        loop {
            starts += 1;
            let address = ports::free_loopback().map_err(system)?;
            write_files(folder, plan, address).map_err(system)?;
            match run(watch, program, folder, name) {
                Ok(process) => {
                    return Ok(Server {
                        name,
                        address,
                        program: program.clone(),
                        folder: folder.to_owned(),
                        process,
                    });
                }
                Err(ServerError::Ended { .. }) if starts < STARTS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts it once more after its end, as it was, at the same address. Returns when it listens.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self, watch: &mut Watch) -> Result<(), ServerError> {
        self.process = run(watch, &self.program, &self.folder, self.name)?;
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
        service: (service, kind),
    } = plan;
    fs::write(
        folder.join(format!("{name}_map.lua")),
        format!("{name} = \"{address}\"\n"),
    )?;
    let config = format!(
        "thread = {threads}\nspin_us = {spin_us}\nharbor = 0\ncluster = \"{name}_map.lua\"\nopen = \"{name}\"\n\
         services = {{ {service} = \"{kind}\" }}\n"
    );
    fs::write(folder.join(format!("{name}.lua")), config)
}

fn run(
    watch: &mut Watch,
    program: &Program,
    folder: &Path,
    name: &'static str,
) -> Result<Process, ServerError> {
    let mut command = Command::new(&program.file);
    command
        .args(program.arguments)
        .arg(folder.join(format!("{name}.lua")))
        // Where the map is looked up first: a file of that name elsewhere must not be taken for it.
        .current_dir(folder)
        .stdin(Stdio::null());
    let process = watch
        .start(name, command)
        .map_err(|error| ServerError::System { name, error })?;
    let mut said = "nothing was said".to_owned();
    let listens = watch.wait(START_TIME_MAX, |event| match &event.happening {
        _ if event.id != process.id() => None,
        Happening::Line(line) if line.contains("Listen on") => Some(true),
        Happening::Line(line) => {
            said.clone_from(line);
            None
        }
        Happening::Closed => Some(false),
    });
    match listens {
        Ok(true) => Ok(process),
        Ok(false) => Err(ServerError::Ended { name, said }),
        Err(error) => Err(ServerError::Waited { name, error }),
    }
}
