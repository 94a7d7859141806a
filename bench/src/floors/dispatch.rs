//! Chooses by name: which client measures a peer, and which server a started process is.
//!
//! Every server first pins itself and asks the kernel to be killed when the thread that started it ends, which also
//! happens when this process is killed and can end nothing itself.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use skyring::config::NodeConfig;
use skyring::{Kinds, NodeBuilder};

use super::launcher::Launcher;
use super::measurement::{PeerError, PeerResult, Settings};
use super::peer::Peer;
use super::redis::Test;
use super::server_process::LISTENING;
use super::{blocking, erlang, glommio, redis, skynet, uring};
#[cfg(feature = "peers")]
use super::{tarpc, tonic};
use crate::cpu::{kernel_cpu, pin_this_thread};
use crate::interrupt::Interrupt;
use crate::process::end_with_parent;

impl Peer {
    /// Starts its server, measures, and ends what was started.
    ///
    /// # Errors
    /// [`PeerError`]; [`PeerError::Unavailable`] is no fault.
    pub fn measure(
        self,
        settings: &Settings,
        launcher: &Launcher,
        interrupt: &Interrupt,
    ) -> Result<PeerResult, PeerError> {
        match self {
            Peer::BlockingEcho => blocking::measure_echo(settings, launcher, interrupt),
            Peer::BlockingStream => blocking::measure_stream(settings, launcher, interrupt),
            Peer::Glommio => glommio::measure(settings, launcher, interrupt),
            Peer::Uring => uring::measure(settings, launcher, interrupt),
            #[cfg(feature = "peers")]
            Peer::Tarpc => tarpc::measure(settings, launcher, interrupt),
            #[cfg(feature = "peers")]
            Peer::Tonic => tonic::measure(settings, launcher, interrupt),
            #[cfg(not(feature = "peers"))]
            Peer::Tarpc | Peer::Tonic => Err(PeerError::Unavailable(
                "not in this program; `cargo build --release -p skyring-tools --features peers` builds it in"
                    .to_owned(),
            )),
            Peer::RedisGet => redis::measure(self, Test::Get, settings, launcher, interrupt),
            Peer::RedisSet => redis::measure(self, Test::Set, settings, launcher, interrupt),
            Peer::RedisEcho => redis::measure(self, Test::Echo, settings, launcher, interrupt),
            Peer::Erlang => erlang::measure(settings, launcher, interrupt),
            Peer::Skynet => skynet::measure(settings, launcher, interrupt),
            Peer::SkyringLua => skynet::measure_on_skyring(settings, launcher, interrupt),
        }
    }
}

/// Runs the hidden subcommand: a server, until its client has disconnected or it is killed, or another program.
///
/// # Errors
/// When the arguments are not those of a [`Launcher`], or the server fails.
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
        // A spurious wake-up: the node continues.
        let _ = node.threads();
    }
}

fn serve_peer(peer: Peer, cpu: usize, spin: Duration) -> io::Result<()> {
    // Looked up before this thread may use one only.
    let kernel_cpu = kernel_cpu(cpu)?;
    pin_this_thread(cpu)?;
    let served = match peer {
        Peer::BlockingEcho => blocking::serve_echo(&listen()?),
        Peer::BlockingStream => blocking::serve_stream(&listen()?),
        Peer::Glommio => glommio::serve(kernel_cpu, spin, announce),
        Peer::Uring => uring::serve(&listen()?, spin),
        #[cfg(feature = "peers")]
        Peer::Tarpc => tarpc::serve(listen()?),
        #[cfg(feature = "peers")]
        Peer::Tonic => tonic::serve(listen()?),
        _ => Err(wrong("the name of a peer whose server is in this program")),
    };
    match served {
        // A client disconnects so when its measurement is over.
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

fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// Tells the process that started this one where its server listens.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{LISTENING}{address}")?;
    stdout.flush()
}
