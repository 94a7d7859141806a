//! What belongs to the node of a config: its shards, its log, the ports that it listens on, and the nodes that it calls.
//!
//! Nothing is left behind: a connection to another node sends nothing.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use skyring::config::{NodeAddress, NodeConfig};
use skyring::{ClusterMap, Tls};

use super::facts::Facts;
use super::finding::{Finding, Level, counted};
use super::ports;

/// How long all other nodes together may take to answer.
const PEERS_TIME_MAX: Duration = Duration::from_secs(3);

/// How long one of them may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// Connections at once.
const CONNECTS_MAX: usize = 32;

/// Judges a node and what is around it.
pub(super) fn judge(config: &NodeConfig, map: Option<&ClusterMap>, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![
        Finding::new(Level::Ok, "config", format!("{} is valid", config.file.display())),
        shards(config.threads, facts.processors),
    ];
    findings.extend(config.logger.as_deref().map(log));
    let tls = config.security.as_ref().and_then(|security| security.tls());
    findings.extend(tls.map(certificate).into_iter().flatten());
    findings.extend(ports::judge(config, map, facts.outgoing_ports));
    if let Some(map) = map {
        let own = config.open.as_deref();
        let others = map
            .nodes
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != own)
            .filter_map(|(name, entry)| Some((name.clone(), entry.address()?.clone())));
        findings.extend(peers(others.collect()));
    }
    findings
}

/// Whether other nodes will accept the node's certificate, and for how long. Files that cannot be used make the config
/// invalid.
fn certificate(tls: &Tls) -> Vec<Finding> {
    let warnings = tls.warnings();
    match tls.days_left() {
        Some(days) if warnings.is_empty() => {
            let text = format!(
                "the certificate is for {}, for {days} days more",
                tls.names().join(", ")
            );
            vec![Finding::new(Level::Ok, "tls", text)]
        }
        left => {
            let level = match left {
                Some(_) => Level::Warning,
                None => Level::Failure,
            };
            let finding = |text: &String| {
                let text = format!("{text}; make or order a new one, the node reads it without a restart");
                Finding::new(level, "tls", text)
            };
            warnings.iter().map(finding).collect()
        }
    }
}

fn shards(threads: usize, processors: usize) -> Finding {
    let (threads_text, processors_text) = (counted(threads, "shard"), counted(processors, "processor"));
    if threads <= processors {
        Finding::new(
            Level::Ok,
            "thread",
            format!("{threads_text} on {processors_text}"),
        )
    } else {
        let text = format!(
            "{threads_text} on {processors_text}: shards that share a processor wait for each other; set thread \
             = {processors}"
        );
        Finding::new(Level::Warning, "thread", text)
    }
}

/// Whether the log file can be written, or made.
fn log(file: &Path) -> Finding {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let refused = if file.exists() {
        access(file, Access::WRITE_OK).err()
    } else {
        access(folder, Access::WRITE_OK | Access::EXEC_OK).err()
    };
    match refused {
        None => Finding::new(Level::Ok, "logger", format!("{} can be written", file.display())),
        Some(error) => {
            let text = format!(
                "{} cannot be written ({}): create its folder, or give the node's user access to it",
                file.display(),
                io::Error::from(error)
            );
            Finding::new(Level::Failure, "logger", text)
        }
    }
}

/// The first address of a host.
pub(super) fn resolve(address: &NodeAddress) -> io::Result<SocketAddr> {
    let mut found = (address.host(), address.port()).to_socket_addrs()?;
    found
        .next()
        .ok_or_else(|| io::Error::other("the name has no address"))
}

/// Connects to the other nodes, [`CONNECTS_MAX`] at a time and for [`PEERS_TIME_MAX`] together.
fn peers(others: Vec<(String, NodeAddress)>) -> Vec<Finding> {
    let (sender, results) = mpsc::channel();
    let mut findings: Vec<Option<Finding>> = others.iter().map(|_| None).collect();
    let until = Instant::now() + PEERS_TIME_MAX;
    let (mut begun, mut ended) = (0, 0);
    while ended < others.len() {
        while begun < others.len() && begun - ended < CONNECTS_MAX {
            let (sender, place, address) = (sender.clone(), begun, others[begun].1.clone());
            // Not scoped: a name server may take longer than this command.
            thread::spawn(move || {
                // Nobody listens when the time was over first.
                let _ = sender.send((place, connect(&address)));
            });
            begun += 1;
        }
        match results.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((place, result)) => {
                ended += 1;
                let (name, address) = &others[place];
                findings[place] = Some(peer(name, address, result));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let missing = others.iter().zip(findings).map(|((name, address), finding)| {
        finding.unwrap_or_else(|| {
            let error = Err(io::Error::from(io::ErrorKind::TimedOut));
            peer(name, address, error)
        })
    });
    missing.collect()
}

fn connect(address: &NodeAddress) -> io::Result<Duration> {
    let resolved = resolve(address)?;
    let begun = Instant::now();
    TcpStream::connect_timeout(&resolved, CONNECT_TIME_MAX)?;
    Ok(begun.elapsed())
}

fn peer(name: &str, address: &NodeAddress, connected: io::Result<Duration>) -> Finding {
    let what = format!("node {name}");
    match connected {
        Ok(time) => {
            let milliseconds = time.as_secs_f64() * 1e3;
            Finding::new(
                Level::Ok,
                what,
                format!("{address} accepts connections, in {milliseconds:.1} ms"),
            )
        }
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::ConnectionRefused => "it does not run there",
                io::ErrorKind::TimedOut => "its machine is down, or a firewall drops the packets",
                _ => "see its name and the network",
            };
            // A cluster starts with one node.
            Finding::new(
                Level::Note,
                what,
                format!("{address} does not answer ({error}): {advice}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(text: &str) -> NodeAddress {
        text.parse().expect("an address")
    }

    #[test]
    fn more_shards_than_processors_are_a_warning() {
        assert_eq!(shards(2, 2).level, Level::Ok);
        let finding = shards(3, 1);
        assert_eq!(finding.level, Level::Warning);
        assert!(
            finding.text.starts_with("3 shards on 1 processor: "),
            "{finding:?}"
        );
    }

    #[test]
    fn other_nodes_are_reached_or_not_in_their_order() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let there = address(&listener.local_addr().expect("an address").to_string());
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let gone = address(&free.local_addr().expect("an address").to_string());
        drop(free);
        let mut others = vec![("gone".to_owned(), gone)];
        others.extend((0..40).map(|number| (format!("n{number}"), there.clone())));
        let findings = peers(others);
        assert_eq!(findings.len(), 41);
        assert_eq!(
            (findings[0].level, findings[0].what.as_str()),
            (Level::Note, "node gone")
        );
        assert!(
            findings[0].text.contains("it does not run there"),
            "{:?}",
            findings[0]
        );
        assert!(findings[1..].iter().all(|finding| finding.level == Level::Ok));
        assert_eq!(findings[40].what, "node n39");
    }

    #[test]
    fn a_log_file_in_a_folder_that_is_missing_is_a_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(log(&folder.path().join("new.log")).level, Level::Ok);
        let finding = log(&folder.path().join("missing/new.log"));
        assert_eq!(finding.level, Level::Failure);
        assert!(finding.text.contains("No such file"), "{finding:?}");
    }
}
