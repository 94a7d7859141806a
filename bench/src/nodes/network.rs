//! The network between the nodes: loopback, or, for a user who may have one, two halves with a router between them.
//!
//! Each half is a network namespace of the kernel, and so is the router, in which etcd runs. While the router forwards nothing, packets
//! from one half to the other vanish without an answer, as in a real network; both halves still reach etcd.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::plan::NodesError;
use crate::ports;

/// The first port of nodes with an address of their own; below those that outgoing connections take.
const PORT_FIRST: u16 = 20_001;

/// The port of etcd in the router.
const ETCD_PORT: u16 = 2_379;

/// Networks of this process so far.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where the nodes are.
pub(super) enum Network {
    /// All on loopback.
    Loopback { etcd: SocketAddr, etcd_peer: SocketAddr },
    /// In two halves that can be parted.
    Halves(Halves),
}

/// Two halves and a router. Dropping it removes them.
pub(super) struct Halves {
    /// The names of their namespaces.
    router: String,
    halves: [String; 2],
}

impl Network {
    /// Halves if the user may make them; else loopback, and why.
    pub(super) fn new() -> Result<(Network, Option<String>), NodesError> {
        if !rustix::process::geteuid().is_root() {
            return Ok((Network::loopback()?, Some("it needs root".to_owned())));
        }
        match Halves::new() {
            Ok(halves) => Ok((Network::Halves(halves), None)),
            Err(error) => Ok((Network::loopback()?, Some(error.to_string()))),
        }
    }

    fn loopback() -> Result<Network, NodesError> {
        let port = || ports::free_loopback().map_err(NodesError::system("a port for etcd"));
        Ok(Network::Loopback {
            etcd: port()?,
            etcd_peer: port()?,
        })
    }

    /// The half of a node, counted from 0.
    pub(super) fn half_of(&self, place: usize, nodes: usize) -> usize {
        usize::from(place >= nodes.div_ceil(2))
    }

    /// Where a node listens.
    pub(super) fn address_of(&self, place: usize, nodes: usize) -> Result<SocketAddr, NodesError> {
        match self {
            Network::Loopback { .. } => {
                ports::free_loopback().map_err(NodesError::system("a port for a node"))
            }
            Network::Halves(_) => {
                let host = address_in_half(self.half_of(place, nodes), 2);
                Ok(SocketAddr::from((host, PORT_FIRST + place as u16)))
            }
        }
    }

    /// Where etcd listens.
    pub(super) fn etcd_listen(&self) -> SocketAddr {
        match self {
            Network::Loopback { etcd, .. } => *etcd,
            Network::Halves(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, ETCD_PORT)),
        }
    }

    /// Where etcd would listen for other servers.
    pub(super) fn etcd_peer(&self) -> SocketAddr {
        match self {
            Network::Loopback { etcd_peer, .. } => *etcd_peer,
            Network::Halves(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, ETCD_PORT + 1)),
        }
    }

    /// Where the nodes of a half find etcd.
    pub(super) fn etcd_of_half(&self, half: usize) -> SocketAddr {
        match self {
            Network::Loopback { etcd, .. } => *etcd,
            Network::Halves(_) => SocketAddr::from((address_in_half(half, 1), ETCD_PORT)),
        }
    }

    /// A command in a half.
    pub(super) fn command_in_half(&self, half: usize, program: &OsStr) -> Command {
        match self {
            Network::Loopback { .. } => Command::new(program),
            Network::Halves(halves) => within(&halves.halves[half], program),
        }
    }

    /// A command between the halves.
    pub(super) fn command_between(&self, program: &OsStr) -> Command {
        match self {
            Network::Loopback { .. } => Command::new(program),
            Network::Halves(halves) => within(&halves.router, program),
        }
    }

    /// Lets packets pass from one half to the other, or not.
    pub(super) fn set_forwarding(&self, forwards: bool) -> Result<(), NodesError> {
        match self {
            Network::Loopback { .. } => Ok(()),
            Network::Halves(halves) => set_forwarding(&halves.router, forwards),
        }
    }
}

/// The router's address in the network of a half is the first, the nodes' the second.
fn address_in_half(half: usize, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, half as u8 + 1, host)
}

fn within(namespace: &str, program: &OsStr) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

impl Halves {
    fn new() -> Result<Halves, NodesError> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |part: &str| format!("skyring-{}-{number}-{part}", std::process::id());
        let halves = Halves {
            router: name("router"),
            halves: [name("left"), name("right")],
        };
        // From here on the drop removes what there is.
        for namespace in [&halves.router, &halves.halves[0], &halves.halves[1]] {
            ip(&["netns", "add", namespace])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        for (half, namespace) in halves.halves.iter().enumerate() {
            let port = format!("half{half}");
            let network = |host| format!("{}/24", address_in_half(half, host));
            ip(&[
                "-n",
                namespace,
                "link",
                "add",
                "uplink",
                "type",
                "veth",
                "peer",
                "name",
                &port,
                "netns",
                &halves.router,
            ])?;
            for (place, device, host) in [(&halves.router, port.as_str(), 1), (namespace, "uplink", 2)] {
                ip(&["-n", place, "addr", "add", &network(host), "dev", device])?;
                ip(&["-n", place, "link", "set", device, "up"])?;
            }
            let router = address_in_half(half, 1).to_string();
            ip(&["-n", namespace, "route", "add", "default", "via", &router])?;
        }
        set_forwarding(&halves.router, true)?;
        Ok(halves)
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        for namespace in [&self.router, &self.halves[0], &self.halves[1]] {
            // One that could not be made cannot be removed.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn set_forwarding(router: &str, forwards: bool) -> Result<(), NodesError> {
    let value = u8::from(forwards);
    let set = format!("echo {value} > /proc/sys/net/ipv4/ip_forward");
    ip(&["netns", "exec", router, "sh", "-c", &set])
}

/// Runs the command `ip`.
fn ip(arguments: &[&str]) -> Result<(), NodesError> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(NodesError::system("the command ip"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(NodesError::Command {
        command: format!("ip {}", arguments.join(" ")),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
