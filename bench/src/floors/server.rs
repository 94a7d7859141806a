//! Servers of floors and peers: processes of their own, pinned, that cannot outlive this one.
//!
//! Ours are this program once more, under a subcommand that nobody types: `serve NAME CPU SPIN_US` is the
//! server itself and says `listening ADDRESS`, `run CPU PROGRAM ARGUMENT...` becomes another program,
//! `lua CPU CONFIG` is a node of Skyring's that runs services in Lua. All
//! first pin themselves and ask the kernel to be killed when the thread that started them ends, which also
//! happens when this process is killed and can end nothing itself.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use skyring::config::NodeConfig;
use skyring::{Kinds, NodeBuilder};

use super::measured::{PeerError, Settings};
use super::{Peer, blocking, glommio, uring};
use crate::cpu::{allowed_cpus, pin_this_thread};
use crate::interrupt::Interrupt;
use crate::process::{Happening, Process, end_with_parent};
use crate::watch::Watch;

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What a server of ours says before its address.
const LISTENING: &str = "listening ";

/// How this program is started once more, as a server.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    subcommand: &'static str,
}

impl Launcher {
    /// The running program, under the subcommand whose arguments go to [`serve`].
    ///
    /// # Errors
    /// When the system does not say which program this is.
    pub fn this_program(subcommand: &'static str) -> io::Result<Launcher> {
        Ok(Launcher {
            program: std::env::current_exe()?,
            subcommand,
        })
    }

    fn serve(&self, peer: Peer, settings: &Settings) -> Command {
        let mut command = Command::new(&self.program);
        command.args([self.subcommand, "serve", peer.name()]);
        command.args([
            settings.server_cpu.to_string(),
            settings.spin.as_micros().to_string(),
        ]);
        command
    }

    /// A command that runs another program on the processor with that number.
    pub(crate) fn run(&self, cpu: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([self.subcommand, "run", &cpu.to_string()])
            .arg(program);
        command
    }

    /// A command that runs a node with services in Lua on the processor with that number.
    pub(crate) fn lua(&self, cpu: usize, config: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([self.subcommand, "lua", &cpu.to_string()])
            .arg(config);
        command
    }
}

/// A server that runs. Dropping it kills it.
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
    /// Hears what it says, so that it never waits to say it.
    _watch: Watch,
}

impl Server {
    /// Starts our server of a peer, and returns when it listens.
    pub(crate) fn start(
        launcher: &Launcher,
        peer: Peer,
        settings: &Settings,
        interrupt: &Interrupt,
    ) -> Result<Server, PeerError> {
        let mut watch = Watch::new(interrupt.clone(), |_| {});
        let mut command = launcher.serve(peer, settings);
        command.stdin(Stdio::null());
        let process = watch.start(peer.name(), command)?;
        let address = heard(&mut watch, &process, peer.name(), |line| {
            line.strip_prefix(LISTENING)?.parse().ok()
        })?;
        Ok(Server {
            process,
            address,
            _watch: watch,
        })
    }

    /// Starts another program as a server, and returns when it has said a line with `ready` in it.
    pub(crate) fn run(
        mut command: Command,
        (name, ready): (&'static str, &str),
        address: SocketAddr,
        interrupt: &Interrupt,
    ) -> Result<Server, PeerError> {
        let mut watch = Watch::new(interrupt.clone(), |_| {});
        command.stdin(Stdio::null());
        let process = watch.start(name, command)?;
        heard(&mut watch, &process, name, |line| {
            line.contains(ready).then_some(())
        })?;
        Ok(Server {
            process,
            address,
            _watch: watch,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }
}

/// Waits until a starting server says what `look` looks for; when it ends instead, tells its last line.
fn heard<T>(
    watch: &mut Watch,
    process: &Process,
    name: &str,
    look: impl Fn(&str) -> Option<T>,
) -> Result<T, PeerError> {
    let mut said = "nothing".to_owned();
    let found = watch.wait(START_TIME_MAX, |event| match &event.happening {
        _ if event.id != process.id() => None,
        Happening::Line(line) => match look(line) {
            Some(found) => Some(Some(found)),
            None => {
                said.clone_from(line);
                None
            }
        },
        Happening::Closed => Some(None),
    });
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(PeerError::Server(format!(
            "{name} ended instead of listening, and said last: {said}"
        ))),
        Err(error) => Err(PeerError::waited(error, name)),
    }
}

/// What the hidden subcommand does with its arguments: it is a server, until its client has gone or it is
/// killed, or becomes another program.
///
/// # Errors
/// When the arguments are not what [`Launcher`] gives, or the server fails.
pub fn serve(arguments: &[OsString]) -> io::Result<()> {
    end_with_parent()?;
    let words: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect();
    let number = |word: &str| word.parse().map_err(|_| wrong("a number"));
    match words[..] {
        ["serve", name, cpu, spin_us] => {
            let peer = Peer::named(name).ok_or_else(|| wrong("the name of a peer"))?;
            serve_peer(peer, number(cpu)?, Duration::from_micros(number(spin_us)? as u64))
        }
        ["run", cpu, ..] if arguments.len() > 2 => {
            pin_this_thread(number(cpu)?)?;
            Err(Command::new(&arguments[2]).args(&arguments[3..]).exec())
        }
        ["lua", cpu, config] => {
            pin_this_thread(number(cpu)?)?;
            run_lua(Path::new(config))
        }
        _ => Err(wrong(
            "`serve NAME CPU SPIN_US`, `run CPU PROGRAM ARGUMENT...` or `lua CPU CONFIG`",
        )),
    }
}

fn wrong(expected: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("expected {expected}"))
}

/// Runs a node until the process is killed, or kills itself by `skynet.abort`.
fn run_lua(config: &Path) -> io::Result<()> {
    let (config, map) = NodeConfig::load_with_map(config).map_err(io::Error::other)?;
    let bootstrap = config.bootstrap.clone();
    let node = NodeBuilder::from_config(config, map)
        .kinds(skyring_lua::add_kinds(Kinds::default()))
        .first_service(&bootstrap)
        .start()
        .map_err(io::Error::other)?;
    loop {
        thread::park();
        // Woken for no reason: the node goes on.
        let _ = node.threads();
    }
}

fn serve_peer(peer: Peer, cpu: usize, spin: Duration) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Looked up before this thread may use one only.
    let kernel_cpu = kernel_cpu(cpu)?;
    pin_this_thread(cpu)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{LISTENING}{}", listener.local_addr()?)?;
    stdout.flush()?;
    let served = match peer {
        Peer::BlockingEcho => blocking::serve_echo(&listener),
        Peer::BlockingStream => blocking::serve_stream(&listener),
        Peer::Glommio => glommio::serve(&listener, kernel_cpu, spin),
        Peer::Uring => uring::serve(&listener, spin),
        #[cfg(feature = "peers")]
        Peer::Tarpc => super::tarpc::serve(listener),
        #[cfg(feature = "peers")]
        Peer::Tonic => super::tonic::serve(listener),
        _ => Err(wrong("the name of a peer whose server is in this program")),
    };
    match served {
        // How a client leaves that has what it wanted.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ) =>
        {
            Ok(())
        }
        served => served,
    }
}

/// The kernel's number of the processor with that number among those allowed.
pub(crate) fn kernel_cpu(number: usize) -> io::Result<usize> {
    let allowed = allowed_cpus()?;
    allowed
        .get(number % allowed.len().max(1))
        .copied()
        .ok_or_else(|| io::Error::other("the kernel allows this process no processor"))
}
