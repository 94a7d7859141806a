//! The processes that serve the clients.
//!
//! `node CPUS CONFIG` is a node, `lua CPUS CONFIG` one whose first service is in Lua, `floor CPUS PORT` the floor; `CPUS` is
//! the number of processors that it may use, from the first on. They belong to a hidden subcommand.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use skyring::config::NodeConfig;
use skyring::{Kinds, NodeBuilder};
use socket2::{Domain, Protocol, Socket, Type};

use super::echo::gate_echo_kind;
use super::floor;
use super::plan::{Contender, GateError, GatePlan};
use super::tls;
use crate::cpu::{allowed_cpus, pin_to};
use crate::interrupt::Interrupt;
use crate::ports;
use crate::process::{EventKind, Process, end_with_parent};
use crate::supervisor::{ReadyError, Supervisor, WaitError};
use crate::temp_dir::TempDir;

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a server may take from its line until it accepts.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(5);

/// The name of the gate's node in its map.
pub(super) const NODE: &str = "gate";

/// The gate's name on its node.
pub(super) const GATE: &str = "front";

/// Connections that the kernel queues until the floor accepts them.
const BACKLOG: i32 = 1_024;

/// Clients that a gate takes beside those of the measurement.
const FURTHER_CLIENTS: usize = 10_000;

/// The services of the gate in Lua.
const LUA_SERVICES: [(&str, &str); 3] = [
    ("gate_main", include_str!("lua/gate_main.lua")),
    ("gate_watchdog", include_str!("lua/gate_watchdog.lua")),
    ("gate_agent", include_str!("lua/gate_agent.lua")),
];

/// Starts this program again as a server.
#[derive(Debug, Clone)]
pub struct GateLauncher {
    /// The arguments before those of [`serve_gate`].
    pub subcommand: &'static [&'static str],
}

/// A running server. Dropping it kills it.
pub(super) struct Server {
    process: Option<Process>,
    address: SocketAddr,
    /// Where its node listens for calls.
    cluster: Option<SocketAddr>,
    /// The settings of its clients, if they speak TLS.
    tls: Option<Arc<ClientConfig>>,
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts the server of a contender, and returns when it accepts clients.
    pub(super) fn start(
        contender: Contender,
        plan: &GatePlan,
        launcher: &GateLauncher,
        interrupt: &Interrupt,
    ) -> Result<Server, GateError> {
        if let Contender::Target(address) = contender {
            return Ok(Server {
                process: None,
                address,
                cluster: None,
                tls: None,
                _folder: None,
            });
        }
        let folder = TempDir::new("gate")?;
        let address = ports::free_loopback()?;
        let cluster = ports::free_loopback()?;
        let (kind, argument) = match contender {
            Contender::LuaGate => ("lua", write_lua(folder.path(), plan, address)?),
            Contender::Floor => ("floor", address.port().to_string()),
            contender => {
                let is_tls = contender == Contender::TlsGate;
                (
                    "node",
                    write_native(folder.path(), plan, address, cluster, is_tls)?,
                )
            }
        };
        let tls = match contender {
            Contender::TlsGate => Some(tls::client_config(folder.path())?),
            _ => None,
        };
        let mut command = Command::new(std::env::current_exe()?);
        // The thread that starts it is pinned to the processor of the clients.
        let cpus = allowed_cpus()?.into_iter().take(plan.threads);
        let cpus = cpus.map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(",");
        command
            .args(launcher.subcommand)
            .args([kind, &cpus, &argument])
            .current_dir(folder.path())
            .stdin(Stdio::null());
        let process = start(contender, command, address, interrupt)?;
        Ok(Server {
            process: Some(process),
            address,
            cluster: (kind == "node").then_some(cluster),
            tls,
            _folder: Some(folder),
        })
    }

    /// Where it accepts clients.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings of its clients, if they speak TLS.
    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Where the gate's node listens for calls.
    pub(super) fn cluster(&self) -> Option<SocketAddr> {
        self.cluster
    }

    /// Its process; `None` for a server that was not started here.
    pub(super) fn process(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }
}

fn write_native(
    folder: &Path,
    plan: &GatePlan,
    address: SocketAddr,
    cluster: SocketAddr,
    is_tls: bool,
) -> io::Result<String> {
    fs::write(folder.join("map.lua"), format!("{NODE} = \"{cluster}\"\n"))?;
    let scheme = match (plan.is_websocket, is_tls) {
        (false, false) => "",
        (false, true) => "tls://",
        (true, false) => "ws://",
        (true, true) => "wss://",
    };
    let mut settings = plan.settings.clone();
    if is_tls {
        tls::write_certificate(folder)?;
        let certificate = format!(" certificate={} key={}", tls::CERTIFICATE, tls::KEY);
        settings.push_str(&certificate);
    }
    let path = if plan.is_websocket { plan.path.as_str() } else { "" };
    let clients = plan.clients + FURTHER_CLIENTS;
    let config = format!(
        "thread = {}\nharbor = 0\ncluster = \"map.lua\"\nopen = \"{NODE}\"\n\
         services = {{ echo = \"keyed gate-echo\", {GATE} = \"gate {scheme}{address}{path} @echo {clients} {}\" }}\n",
        plan.threads, settings
    );
    fs::write(folder.join("config.lua"), config)?;
    Ok("config.lua".to_owned())
}

fn write_lua(folder: &Path, plan: &GatePlan, address: SocketAddr) -> io::Result<String> {
    for (name, text) in LUA_SERVICES {
        fs::write(folder.join(format!("{name}.lua")), text)?;
    }
    let config = format!(
        "thread = {threads}\nharbor = 0\nlogger = nil\nbootstrap = \"snlua bootstrap\"\nstart = \"gate_main\"\n\
         luaservice = \"./?.lua\"\ngate_port = {}\ngate_clients = {}\ngate_agents = {threads}\n",
        address.port(),
        plan.clients + FURTHER_CLIENTS,
        threads = plan.threads,
    );
    fs::write(folder.join("config.lua"), config)?;
    Ok("config.lua".to_owned())
}

/// Starts a process, and returns when it accepts connections.
fn start(
    contender: Contender,
    command: Command,
    address: SocketAddr,
    interrupt: &Interrupt,
) -> Result<Process, GateError> {
    let name = contender.name();
    let mut supervisor = Supervisor::new(interrupt.clone(), |_| {});
    let process = supervisor.start(name, command)?;
    let listens = format!("isten on {address}");
    let ready = supervisor.wait_until_ready(&process, START_TIME_MAX, |line| {
        line.contains(&listens).then_some(())
    });
    ready.map_err(|error| match error {
        ReadyError::Ended { last_line } => GateError::Start {
            name,
            cause: last_line.unwrap_or_else(|| "it wrote nothing".to_owned()),
        },
        ReadyError::Wait(error) => GateError::waited(error, name),
    })?;
    let began = Instant::now();
    while let Err(error) = std::net::TcpStream::connect(address) {
        if began.elapsed() > ACCEPT_TIME_MAX {
            let cause = format!("{address}: {error}");
            return Err(GateError::Start { name, cause });
        }
        thread::sleep(Duration::from_millis(5));
    }
    // Its output must never block it.
    let id = process.id();
    thread::Builder::new()
        .name("gate-output".to_owned())
        .spawn(move || {
            let ended = |event: &crate::process::Event| {
                (event.id == id && event.kind == EventKind::Closed).then_some(())
            };
            while let Err(WaitError::TimedOut(_)) = supervisor.wait(Duration::from_secs(60), ended) {}
        })?;
    Ok(process)
}

/// Runs the hidden subcommand: a server, until the process is killed.
///
/// # Errors
/// When the arguments are not those of a launcher, or the server fails.
pub fn serve_gate(arguments: &[OsString]) -> io::Result<()> {
    end_with_parent()?;
    let words: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect();
    let wrong = || {
        let expected = "expected `node CPUS CONFIG`, `lua CPUS CONFIG` or `floor CPUS PORT`";
        io::Error::new(io::ErrorKind::InvalidInput, expected)
    };
    let [kind, cpus, argument] = words[..] else {
        return Err(wrong());
    };
    let cpus: Result<Vec<usize>, _> = cpus.split(',').map(str::parse).collect();
    pin_to(&cpus.map_err(|_| wrong())?)?;
    match kind {
        "node" | "lua" => run_node(Path::new(argument), kind == "lua"),
        "floor" => {
            let port = argument.parse().map_err(|_| wrong())?;
            let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            writeln!(io::stdout(), "Listen on {}", listener.local_addr()?)?;
            floor::serve(listener)
        }
        _ => Err(wrong()),
    }
}

/// Listens with a backlog as long as the gate's.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn run_node(config: &Path, in_lua: bool) -> io::Result<()> {
    let (config, map) = NodeConfig::load_with_map(config).map_err(io::Error::other)?;
    let kinds: Kinds = skyring_lua::add_kinds(gate_echo_kind(skyring_services::kinds()));
    let bootstrap = config.bootstrap.clone();
    let mut builder = NodeBuilder::from_config(config, map).kinds(kinds);
    if in_lua {
        builder = builder.first_service(&bootstrap);
    }
    let node = builder.start().map_err(io::Error::other)?;
    loop {
        thread::park();
        // A spurious wake-up: the node continues.
        let _ = node.threads();
    }
}
