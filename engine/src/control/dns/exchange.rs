//! Questions and answers by UDP and TCP, and the servers and names that the system's settings give.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::records::{self, Fault, Kind, Records};
use crate::rt::random_number;

/// The system's settings.
const SETTINGS_FILE: &str = "/etc/resolv.conf";

/// Most bytes of those settings that are read.
const SETTINGS_BYTES_MAX: usize = 16 << 10;

/// Most servers that are asked, one after the other, as in the system's own resolver.
pub(crate) const DNS_SERVERS_MAX: usize = 3;

/// Most domains in which a name is searched.
pub(crate) const DNS_DOMAINS_MAX: usize = 8;

/// How long one server may take for an answer.
pub(crate) const DNS_ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// The longest answer by UDP, in bytes.
const DATAGRAM_BYTES_MAX: usize = 4_096;

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// Who is asked, and for which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
    domains: Vec<String>,
    /// A name with as many dots is first tried as it is.
    dots: usize,
}

impl Resolver {
    /// One server, and names as they are.
    pub(crate) fn of_server(server: SocketAddr) -> Resolver {
        Resolver {
            servers: vec![server],
            domains: Vec::new(),
            dots: 1,
        }
    }

    /// What the system's settings say at this moment.
    pub(crate) fn of_system() -> Result<Resolver, String> {
        let text = std::fs::read(SETTINGS_FILE).map_err(|error| format!("{SETTINGS_FILE}: {error}"))?;
        let text = &text[..text.len().min(SETTINGS_BYTES_MAX)];
        let resolver = Resolver::parse(&String::from_utf8_lossy(text));
        match resolver.servers.is_empty() {
            true => Err(format!("{SETTINGS_FILE} names no server")),
            false => Ok(resolver),
        }
    }

    fn parse(text: &str) -> Resolver {
        let mut resolver = Resolver {
            servers: Vec::new(),
            domains: Vec::new(),
            dots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    resolver
                        .servers
                        .extend(server.map(|ip| SocketAddr::new(ip, DNS_PORT)));
                }
                Some("search" | "domain") => {
                    resolver.domains = words.take(DNS_DOMAINS_MAX).map(str::to_owned).collect();
                }
                Some("options") => {
                    let dots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    resolver.dots = dots.unwrap_or(resolver.dots);
                }
                _ => {}
            }
        }
        resolver.servers.truncate(DNS_SERVERS_MAX);
        resolver
    }

    /// The names that are tried, in their order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let in_domains = self
            .domains
            .iter()
            .map(|domain| format!("{name}.{}", domain.trim_matches('.')));
        let is_whole = name.matches('.').count() >= self.dots;
        let own = || std::iter::once(name.to_owned());
        match is_whole {
            true => own().chain(in_domains).collect(),
            false => in_domains.chain(own()).collect(),
        }
    }

    /// The records of the first name that has some; empty if none has. An error means that it is not known.
    pub(crate) async fn look_up(&self, name: &str, kind: Kind) -> Result<Records, String> {
        let mut records = Records::default();
        for name in self.candidates(name) {
            records = self.ask(&name, kind).await?;
            if !records.is_empty() {
                break;
            }
        }
        Ok(records)
    }

    /// Asks one server after the other until one answers.
    async fn ask(&self, name: &str, kind: Kind) -> Result<Records, String> {
        let mut causes = Vec::new();
        for server in &self.servers {
            let asked = timeout(DNS_ANSWER_TIME_MAX, exchange(*server, name, kind)).await;
            match asked {
                Ok(Ok(records)) => return Ok(records),
                Ok(Err(cause)) => causes.push(format!("{server}: {cause}")),
                Err(_) => causes.push(format!("{server}: no answer in time")),
            }
        }
        Err(format!("{name}: {}", causes.join(", ")))
    }
}

async fn exchange(server: SocketAddr, name: &str, kind: Kind) -> Result<Records, String> {
    let id = random_number() as u16;
    let question = records::question(id, name, kind)?;
    let failed = |error: io::Error| error.to_string();
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 8], 0).into(),
    };
    // A socket for each question, with a port that the kernel chooses by chance: an answer is hard to forge.
    let socket = UdpSocket::bind(own).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(&question).await.map_err(failed)?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    // The caller's timeout ends this.
    loop {
        let bytes = socket.recv(&mut answer).await.map_err(failed)?;
        match records::read(&answer[..bytes], id, name, kind) {
            Ok(records) => return Ok(records),
            Err(Fault::NotIt) => {}
            Err(Fault::CutOff) => break,
            Err(Fault::Refused(cause)) => return Err(cause),
        }
    }
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    // A question has a name of at most 255 bytes.
    let length = u16::try_from(question.len()).unwrap_or_default();
    let framed = [&length.to_be_bytes(), &question[..]].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    records::read(&answer, id, name, kind).map_err(|fault| match fault {
        Fault::NotIt => "its answer by TCP is to another question".to_owned(),
        Fault::CutOff => "its answer by TCP is cut off".to_owned(),
        Fault::Refused(cause) => cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_system_are_read() {
        let text = "# made\nnameserver 10.0.0.10\nnameserver fd00::1\nnameserver what\n\
                    search game.svc.cluster.local svc.cluster.local\noptions timeout:2 ndots:5\n";
        let resolver = Resolver::parse(text);
        assert_eq!(
            resolver.servers,
            ["10.0.0.10:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]
        );
        assert_eq!(
            resolver.candidates("_skyring._tcp.db"),
            [
                "_skyring._tcp.db.game.svc.cluster.local",
                "_skyring._tcp.db.svc.cluster.local",
                "_skyring._tcp.db"
            ]
        );
        assert_eq!(resolver.candidates("db.")[0], "db.");
        assert_eq!(Resolver::parse("search a\n").candidates("x.y"), ["x.y", "x.y.a"]);
        assert!(Resolver::parse(&"nameserver 1.1.1.1\n".repeat(99)).servers.len() <= DNS_SERVERS_MAX);
    }
}
