//! A process of its own for a node, which is one of ours or Skynet.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use crate::node;

/// The flag with which this program runs a node: it is followed by the config.
const NODE: &str = "--node";

/// This program, which runs a node until it is killed. The config is the next argument.
pub(crate) fn skyring() -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(NODE);
    Ok(command)
}

/// Skynet in the folder of a checkout. The config is the next argument.
pub(crate) fn skynet(folder: &Path) -> Result<Command, Box<dyn Error>> {
    Ok(Command::new(folder.canonicalize()?.join("skynet")))
}

/// Kills the process when it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the process that [`skyring`] has started: runs the node until the process is killed. `None` in any other.
pub(crate) fn run_if_node() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != NODE);
    let config = arguments.nth(1)?;
    match node::start(Path::new(&config), None) {
        Ok(_node) => loop {
            std::thread::park();
        },
        Err(error) => {
            eprintln!("{error}");
            Some(ExitCode::FAILURE)
        }
    }
}
