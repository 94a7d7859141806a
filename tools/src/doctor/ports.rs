//! The ports that a node listens on: for other nodes, for those who watch it, and for the clients of its gates. Each is
//! free, or somebody has it.
//!
//! A port is bound and released at once, so nothing is left behind.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use skyring::config::{NodeAddress, NodeConfig};
use skyring::{ClusterMap, Error};
use skyring_services::GateSettings;

use super::config::resolve;
use super::finding::{Finding, Level};

/// The kind of the services that listen for clients.
const GATE: &str = "gate";

/// A node of this program, as the kernel calls its process.
const OWN_PROCESS: &str = "skyring";

/// Most sockets in the kernel's list that are looked at for the one that has a port.
const SOCKETS_MAX: usize = 100_000;

/// Most open files of all processes that are looked at for that socket.
const FILES_MAX: usize = 1_000_000;

/// Judges all ports of a node.
pub(super) fn judge(
    config: &NodeConfig,
    map: Option<&ClusterMap>,
    outgoing: Option<(u16, u16)>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(address) = own_address(config, map) {
        findings.push(listener("open", &address, outgoing));
    }
    if let Some(admin) = &config.admin {
        findings.extend(watching(admin.address(), outgoing));
    }
    let gates = config.services.iter().filter(|(_, service)| service.kind == GATE);
    for (name, service) in gates {
        findings.extend(gate(name, &service.arguments, outgoing));
    }
    findings
}

/// Where the node listens for others: as discovery says, or as the map does.
fn own_address(config: &NodeConfig, map: Option<&ClusterMap>) -> Option<NodeAddress> {
    let name = config.open.as_deref()?;
    let discovery = config.discovery.as_ref();
    let listen = discovery.and_then(|discovery| discovery.listen.clone());
    let of_map = || map?.nodes.get(name)?.address().cloned();
    let advertised = || discovery?.etcd.as_ref()?.advertise.clone();
    listen.or_else(of_map).or_else(advertised)
}

/// The port of a gate. Port 0 is any free one.
fn gate(name: &str, arguments: &str, outgoing: Option<(u16, u16)>) -> Option<Finding> {
    let what = format!("gate {name}");
    match gate_address(arguments) {
        Ok(address) => Some(listener(&what, &address?, outgoing)),
        Err(error) => Some(Finding::new(
            Level::Failure,
            what,
            format!("its arguments are wrong: {error}"),
        )),
    }
}

/// Where a gate with these arguments listens; `None`: on any free port.
fn gate_address(arguments: &str) -> Result<Option<NodeAddress>, Error> {
    let settings = GateSettings::parse(arguments)?;
    if settings.port == 0 {
        return Ok(None);
    }
    let host = match settings.host.as_str() {
        "" => "0.0.0.0".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let address = format!("{host}:{}", settings.port).parse();
    address.map(Some).map_err(Error::invalid)
}

/// The port of those who watch the node, and who may.
fn watching(address: SocketAddr, outgoing: Option<(u16, u16)>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = address
        .to_string()
        .parse()
        .ok()
        .map(|parsed| listener("admin", &parsed, outgoing))
        .into_iter()
        .collect();
    // Without a token such an address makes the config invalid.
    if !address.ip().to_canonical().is_loopback() {
        let text = format!(
            "{address} is for other machines, too, which need the token, and speaks HTTP without TLS: let only a network that \
             nobody else reads reach it, or use 127.0.0.1"
        );
        findings.push(Finding::new(Level::Note, "admin", text));
    }
    findings
}

/// Whether the node can listen on an address.
fn listener(what: &str, address: &NodeAddress, outgoing: Option<(u16, u16)>) -> Finding {
    let resolved = match resolve(address) {
        Ok(resolved) => resolved,
        Err(error) => {
            let text =
                format!("{address} has no address ({error}): see the name server, or write the address");
            return Finding::new(Level::Failure, what, text);
        }
    };
    match TcpListener::bind(resolved) {
        Ok(_) => free(what, address, outgoing),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            taken(what, address, holder(address.port()))
        }
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::AddrNotAvailable => "it is no address of this machine",
                io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE",
                _ => "choose another",
            };
            let text = format!("the node cannot listen on {address} ({error}): {advice}");
            Finding::new(Level::Failure, what, text)
        }
    }
}

fn free(what: &str, address: &NodeAddress, outgoing: Option<(u16, u16)>) -> Finding {
    match outgoing {
        Some((first, last)) if (first..=last).contains(&address.port()) => {
            let text = format!(
                "{address} is free, and among the ports {first} to {last} that the system gives to outgoing \
                 connections: one of them may have it when the node starts; choose a lower one, or reserve it with \
                 sysctl net.ipv4.ip_local_reserved_ports={}",
                address.port()
            );
            Finding::new(Level::Warning, what, text)
        }
        _ => Finding::new(Level::Ok, what, format!("{address} is free")),
    }
}

/// Who has a port.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// A process, with its name.
    Process(u32, String),
    /// A process of this user, whose files this user may not see.
    User(u32),
}

fn taken(what: &str, address: &NodeAddress, holder: Option<Holder>) -> Finding {
    let (level, text) = match holder {
        Some(Holder::Process(id, name)) if name == OWN_PROCESS => (
            Level::Warning,
            format!(
                "{address} is in use by process {id} ({name}): this node runs already, or another one has the port"
            ),
        ),
        Some(Holder::Process(id, name)) => (
            Level::Failure,
            format!("{address} is in use by process {id} ({name}): stop it, or choose another port"),
        ),
        Some(Holder::User(user)) => (
            Level::Warning,
            format!(
                "{address} is in use by a process of user {user}: this node runs already, or another program has the port; \
                 `ss -ltnp`, as root, names it"
            ),
        ),
        None => (
            Level::Warning,
            format!("{address} is in use: this node runs already, or another program has the port"),
        ),
    };
    Finding::new(level, what, text)
}

/// Who listens on a port of this machine, as far as the system tells.
fn holder(port: u16) -> Option<Holder> {
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"];
    let found = lists
        .iter()
        .find_map(|list| listening(&fs::read_to_string(list).ok()?, port))?;
    let (user, inode) = found;
    Some(process_with(inode).unwrap_or(Holder::User(user)))
}

/// The user and the inode of the socket that listens on a port, in the kernel's list.
fn listening(list: &str, port: u16) -> Option<(u32, u64)> {
    const LISTENS: &str = "0A";
    list.lines().skip(1).take(SOCKETS_MAX).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let is_it = *fields.get(3)? == LISTENS && u16::from_str_radix(local, 16) == Ok(port);
        let (user, inode) = (fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?);
        is_it.then_some((user, inode))
    })
}

/// The process that has a socket open, if this user may see its files.
fn process_with(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let mut left = FILES_MAX;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        for file in fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            left = left.checked_sub(1)?;
            if fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(Holder::Process(id, name.trim().to_owned()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> NodeAddress {
        text.parse().expect("an address")
    }

    #[test]
    fn a_port_is_free_or_in_use_or_lies_among_those_of_outgoing_connections() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let used = address(&socket.local_addr().expect("an address").to_string());
        let finding = listener("open", &used, None);
        let text = format!("{used} is in use by process {} (", std::process::id());
        assert!(
            finding.level == Level::Failure && finding.text.starts_with(&text),
            "{finding:?}"
        );
        drop(socket);
        assert_eq!(listener("open", &used, None).level, Level::Ok);
        let finding = listener("open", &used, Some((1, u16::MAX)));
        assert!(finding.text.contains("ip_local_reserved_ports"), "{finding:?}");
        // Set aside for documentation.
        assert_eq!(
            listener("open", &address("192.0.2.1:80"), None).level,
            Level::Failure
        );
    }

    #[test]
    fn a_port_of_this_program_is_a_warning_and_one_that_nobody_is_seen_to_have_too() {
        let at = address("127.0.0.1:8100");
        let judged = |holder| taken("admin", &at, holder);
        let own = judged(Some(Holder::Process(7, "skyring".to_owned())));
        assert!(
            own.level == Level::Warning
                && own
                    .text
                    .contains("by process 7 (skyring): this node runs already"),
            "{own:?}"
        );
        let other = judged(Some(Holder::Process(7, "nginx".to_owned())));
        assert!(
            other.level == Level::Failure && other.text.contains("stop it"),
            "{other:?}"
        );
        let hidden = judged(Some(Holder::User(33)));
        assert!(
            hidden.level == Level::Warning && hidden.text.contains("user 33"),
            "{hidden:?}"
        );
        assert_eq!(judged(None).level, Level::Warning);
    }

    #[test]
    fn the_kernels_list_of_sockets_is_read_and_what_is_not_in_its_form_is_left_out() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:1FA4 0100007F:0050 01 0:0 00:0 0 33 0 11 1\n   1: 0100007F:1FA4 00000000:0000 0A 0:0 00:0 0 33 0 4711 1\n\
                    nonsense\n   2: x:1FA5 y 0A\n";
        assert_eq!(listening(list, 8_100), Some((33, 4_711)));
        assert_eq!((listening(list, 8_101), listening("", 8_100)), (None, None));
    }

    #[test]
    fn a_gate_is_looked_at_where_it_would_listen_whatever_its_clients_speak() {
        for (arguments, expected) in [
            ("0.0.0.0:8888 .game 20000", "0.0.0.0:8888"),
            (":8888 .game", "0.0.0.0:8888"),
            ("ws://[::]:8889/game .game", "[::]:8889"),
            ("tls://127.0.0.1:8890 .game idle_ms=1", "127.0.0.1:8890"),
            ("wss://gate.example:8891/game db@sdb", "gate.example:8891"),
        ] {
            let found = gate_address(arguments).expect(arguments);
            assert_eq!(found, Some(address(expected)), "{arguments}");
        }
        assert_eq!(gate("front", "127.0.0.1:0 .game", None), None);
        for arguments in ["", "nonsense", "127.0.0.1:80", "tls://127.0.0.1:80 .game key=a"] {
            let finding = gate("front", arguments, None).expect("it is told");
            assert_eq!(
                (finding.level, finding.what.as_str()),
                (Level::Failure, "gate front")
            );
            assert!(finding.text.contains("gate expects "), "{finding:?}");
        }
    }
}
