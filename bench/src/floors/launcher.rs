//! The command lines that start this program again: as the server of a peer, as a node, or to become another program.
//!
//! `serve NAME CPU SPIN_US` is the server itself, `run CPU PROGRAM ARGUMENT...` becomes another program, `lua CPU CONFIG`
//! is a node of Skyring's that runs services in Lua. They belong to a hidden subcommand.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::measurement::Settings;
use super::peer::Peer;

/// Makes the commands that start this program again.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    subcommand: &'static str,
}

impl Launcher {
    /// The running program, under the subcommand whose arguments go to [`serve`](super::serve).
    ///
    /// # Errors
    /// When the system does not provide the program's path.
    pub fn this_program(subcommand: &'static str) -> io::Result<Launcher> {
        Ok(Launcher {
            program: std::env::current_exe()?,
            subcommand,
        })
    }

    /// The same of another program, which may be an older `skyring`.
    pub fn program(file: PathBuf, subcommand: &'static str) -> Launcher {
        Launcher {
            program: file,
            subcommand,
        }
    }

    /// A command that runs our server of a peer.
    pub(super) fn serve(&self, peer: Peer, settings: &Settings) -> Command {
        let mut command = self.command("serve");
        command.arg(peer.name()).args([
            settings.server_cpu.to_string(),
            settings.spin.as_micros().to_string(),
        ]);
        command
    }

    /// A command that runs another program on the processor with that number.
    pub(super) fn run(&self, cpu: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("run");
        command.arg(cpu.to_string()).arg(program);
        command
    }

    /// A command that runs a node with services in Lua on the processor with that number.
    pub(super) fn lua(&self, cpu: usize, config: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("lua");
        command.arg(cpu.to_string()).arg(config);
        command
    }

    fn command(&self, kind: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args([self.subcommand, kind]);
        command
    }
}
