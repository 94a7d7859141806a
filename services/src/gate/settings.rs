//! What a gate is told: where it listens, whom it serves, and its limits. Parsed from the arguments in a config.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use skyring::{Address, Error};

use super::tls::GateTls;

/// Default for the largest number of clients of a gate.
pub const GATE_CLIENTS_MAX_DEFAULT: usize = 1_024;

/// Default for the time in which a client must have sent its first packet, or finished the handshake of its websocket.
pub const GATE_HANDSHAKE_MS_DEFAULT: u64 = 10_000;

/// The largest packet with two bytes of length, which is also the default of websockets.
pub const GATE_PACKET_BYTES_DEFAULT: usize = 0xffff;

/// Largest packet that a gate for websockets can be told to take.
pub const GATE_PACKET_BYTES_MAX: usize = 16 << 20;

/// Default for the bytes that wait to be written to one client.
pub const GATE_WAITING_BYTES_DEFAULT: usize = 1 << 20;

/// Most bytes that a gate can be told to let wait for one client.
pub const GATE_WAITING_BYTES_MAX: usize = 32 << 20;

/// What the arguments look like, for errors.
const SYNTAX: &str = "gate expects [tls://|ws://|wss://]HOST:PORT[/PATH] SERVICE [CLIENTS] [NAME=VALUE]...";

/// How packets stand in the stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Two bytes of length, the higher first, and as many bytes: Skynet's packages.
    Length,
    /// Websockets on this path, each message a packet.
    WebSocket {
        /// Begins with `/`.
        path: Arc<str>,
    },
}

/// Who gets the packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A service of this node.
    Local(Address),
    /// A service of another node, as in `db@sdb`.
    Remote {
        /// The node, in the cluster map.
        node: String,
        /// The service there.
        address: Address,
    },
}

/// What becomes of a packet for a client that has too many bytes waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The client's connection is closed.
    #[default]
    Close,
    /// The packet is dropped, and counted.
    Drop,
}

/// The settings of a gate.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// The address to listen on; port 0 is any free port.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How packets stand in the stream.
    pub protocol: Protocol,
    /// The TLS that the stream is in; `None`: clients have none.
    pub tls: Option<GateTls>,
    /// Who gets them.
    pub target: Target,
    /// Most clients.
    pub clients_max: usize,
    /// Most clients of one address.
    pub clients_per_address_max: usize,
    /// In which time a client must have sent its first packet; zero = any.
    pub handshake: Duration,
    /// How long a client may send nothing; zero = any.
    pub idle: Duration,
    /// Most bytes of a packet.
    pub packet_bytes_max: usize,
    /// Packets that a client may send in a second, and at once after a pause; 0 = any. More are read later.
    pub packets_per_second: u32,
    /// The same for bytes.
    pub bytes_per_second: u32,
    /// Most bytes that wait to be written to a client.
    pub waiting_bytes_max: usize,
    /// What becomes of a packet beyond that.
    pub when_full: WhenFull,
    /// Load balancers, whose connections begin with the client's address in the PROXY protocol, version 2.
    pub proxies: Vec<IpNet>,
    /// Whether the event `open` of a websocket belongs to the trace in the W3C header `traceparent` of its request. Who may set
    /// that header decides what the node traces.
    pub trusts_traceparent: bool,
}

impl GateSettings {
    /// The defaults, for packets with two bytes of length.
    pub fn new(host: &str, port: u16, target: impl Into<Address>) -> GateSettings {
        GateSettings {
            host: host.to_owned(),
            port,
            protocol: Protocol::Length,
            tls: None,
            target: Target::Local(target.into()),
            clients_max: GATE_CLIENTS_MAX_DEFAULT,
            clients_per_address_max: usize::MAX,
            handshake: Duration::from_millis(GATE_HANDSHAKE_MS_DEFAULT),
            idle: Duration::ZERO,
            packet_bytes_max: GATE_PACKET_BYTES_DEFAULT,
            packets_per_second: 0,
            bytes_per_second: 0,
            waiting_bytes_max: GATE_WAITING_BYTES_DEFAULT,
            when_full: WhenFull::default(),
            proxies: Vec::new(),
            trusts_traceparent: false,
        }
    }

    /// Whether what a client sends in a second is limited.
    pub(super) fn has_rates(&self) -> bool {
        self.packets_per_second > 0 || self.bytes_per_second > 0
    }

    /// Parses the arguments in a config.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the syntax, and what is wrong.
    pub fn parse(arguments: &str) -> Result<GateSettings, Error> {
        parse(arguments).map_err(|cause| Error::invalid(format!("{SYNTAX}: {cause}")))
    }
}

fn parse(arguments: &str) -> Result<GateSettings, String> {
    let mut tokens = arguments.split_whitespace().peekable();
    let address = tokens.next().ok_or("the address is missing")?;
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (protocol, address) = match scheme {
        "" | "tls" => (Protocol::Length, rest),
        "ws" | "wss" => {
            let place = rest.find('/').unwrap_or(rest.len());
            let path = match &rest[place..] {
                "" => "/",
                path => path,
            };
            let path = path.into();
            (Protocol::WebSocket { path }, &rest[..place])
        }
        scheme => return Err(format!("{scheme}:// is not tls://, ws:// or wss://")),
    };
    let tls = ["tls", "wss"].contains(&scheme).then(GateTls::default);
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| format!("\"{address}\" has no port"))?;
    let port = port.parse().map_err(|_| format!("\"{port}\" is not a port"))?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let target = target(tokens.next().ok_or("the service is missing")?)?;
    let mut settings = GateSettings {
        protocol,
        tls,
        target,
        ..GateSettings::new(bracketed.unwrap_or(host), port, skyring::Handle(0))
    };
    if let Some(clients) = tokens.next_if(|token| !token.contains('=')) {
        settings.clients_max = clients
            .parse()
            .map_err(|_| format!("\"{clients}\" is not a number of clients"))?;
    }
    for token in tokens {
        let (name, value) = token
            .split_once('=')
            .ok_or_else(|| format!("unexpected argument \"{token}\""))?;
        set(&mut settings, name, value)?;
    }
    settings.tls.as_ref().map_or(Ok(()), GateTls::check)?;
    if settings.protocol == Protocol::Length && settings.packet_bytes_max > GATE_PACKET_BYTES_DEFAULT {
        return Err(format!(
            "packet_bytes is at most {GATE_PACKET_BYTES_DEFAULT}, which is what two bytes of length can say"
        ));
    }
    if settings.protocol == Protocol::Length && settings.trusts_traceparent {
        return Err("traceparent is a header of websockets, which this gate does not have".to_owned());
    }
    Ok(settings)
}

/// A service of this node, or `NODE@NAME` or `NODE.NAME` for one of another.
fn target(text: &str) -> Result<Target, String> {
    if let Some(address) = Address::parse(text) {
        return Ok(Target::Local(address));
    }
    let remote = text
        .find(['@', '.'])
        .and_then(|place| Some((&text[..place], Address::parse(&text[place..])?)));
    match remote {
        Some((node, address)) => Ok(Target::Remote {
            node: node.to_owned(),
            address,
        }),
        None => Err(format!("\"{text}\" is not the address of a service")),
    }
}

fn set(settings: &mut GateSettings, name: &str, value: &str) -> Result<(), String> {
    let number = |max: u64| {
        value
            .parse::<u64>()
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| format!("{name} is a number up to {max}, not \"{value}\""))
    };
    let positive = |max: u64| match number(max)? {
        0 => Err(format!("{name} is at least 1")),
        number => Ok(number as usize),
    };
    let rate = || Ok::<u32, String>(number(u64::from(u32::MAX))? as u32);
    let time = || Ok::<Duration, String>(Duration::from_millis(number(u64::from(u32::MAX))?));
    match name {
        "clients_per_address" => settings.clients_per_address_max = positive(u64::from(u32::MAX))?,
        "handshake_ms" => settings.handshake = time()?,
        "idle_ms" => settings.idle = time()?,
        "packet_bytes" => settings.packet_bytes_max = positive(GATE_PACKET_BYTES_MAX as u64)?,
        "packets_per_second" => settings.packets_per_second = rate()?,
        "bytes_per_second" => settings.bytes_per_second = rate()?,
        "waiting_bytes" => settings.waiting_bytes_max = positive(GATE_WAITING_BYTES_MAX as u64)?,
        "when_full" => {
            settings.when_full = match value {
                "close" => WhenFull::Close,
                "drop" => WhenFull::Drop,
                _ => return Err(format!("when_full is close or drop, not \"{value}\"")),
            }
        }
        "traceparent" => {
            settings.trusts_traceparent = match value {
                "trust" => true,
                "ignore" => false,
                _ => return Err(format!("traceparent is trust or ignore, not \"{value}\"")),
            }
        }
        "certificate" | "key" | "client_ca" => {
            let tls = settings.tls.as_mut();
            let tls = tls.ok_or_else(|| format!("{name} has no effect without tls:// or wss://"))?;
            tls.set(name, value);
        }
        "proxies" => {
            let networks = value.split(',').map(|network| {
                network
                    .parse()
                    .or_else(|_| network.parse().map(|address: std::net::IpAddr| address.into()))
                    .map_err(|_| {
                        format!("proxies: \"{network}\" is no address or network such as 10.0.0.0/8")
                    })
            });
            settings.proxies = networks.collect::<Result<_, _>>()?;
        }
        _ => {
            return Err(format!(
                "there is no setting {name}; there are clients_per_address, handshake_ms, idle_ms, packet_bytes, \
                 packets_per_second, bytes_per_second, waiting_bytes, when_full, traceparent, proxies, and with TLS \
                 certificate, key and client_ca"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_argument_is_an_error_that_shows_the_syntax() {
        for (arguments, part) in [
            ("", "address is missing"),
            ("8888 .game", "has no port"),
            ("127.0.0.1:x .game", "is not a port"),
            ("ws://127.0.0.1/game .game", "has no port"),
            ("127.0.0.1:80", "service is missing"),
            ("127.0.0.1:80 game", "not the address of a service"),
            ("127.0.0.1:80 .game many", "not a number of clients"),
            ("127.0.0.1:80 .game 5 6", "unexpected argument \"6\""),
            ("127.0.0.1:80 .game 5 idle=3", "no setting idle; there are"),
            ("127.0.0.1:80 .game idle_ms=soon", "idle_ms is a number up to"),
            ("127.0.0.1:80 .game packet_bytes=0", "packet_bytes is at least 1"),
            (
                "127.0.0.1:80 .game packet_bytes=65536",
                "packet_bytes is at most 65535",
            ),
            (
                "ws://127.0.0.1:80 .game packet_bytes=99999999",
                "packet_bytes is a number up to 16777216",
            ),
            ("127.0.0.1:80 .game when_full=wait", "close or drop"),
            ("ws://127.0.0.1:80 .game traceparent=yes", "trust or ignore"),
            ("127.0.0.1:80 .game traceparent=trust", "a header of websockets"),
            (
                "tcp://127.0.0.1:80 .game",
                "tcp:// is not tls://, ws:// or wss://",
            ),
            ("tls://127.0.0.1 .game", "has no port"),
            (
                "127.0.0.1:80 .game certificate=a.pem",
                "certificate has no effect without tls:// or wss://",
            ),
            (
                "tls://127.0.0.1:80 .game key=a.key",
                "key is set and certificate is not",
            ),
            (
                "wss://127.0.0.1:80 .game certificate=a.pem",
                "certificate is set and key is not",
            ),
            (
                "tls://127.0.0.1:80 .game certificate=absent.pem key=absent.key",
                "certificate: absent.pem: ",
            ),
            (
                "127.0.0.1:80 .game proxies=10.0.0.0/33",
                "\"10.0.0.0/33\" is no address or network",
            ),
        ] {
            let error = GateSettings::parse(arguments).expect_err(arguments).to_string();
            assert!(
                error.contains(part) && error.contains(SYNTAX),
                "{arguments}: {error}"
            );
        }
    }

    #[test]
    fn addresses_targets_and_settings_are_parsed() {
        let settings =
            GateSettings::parse("[::1]:80 @game 7 idle_ms=5 when_full=drop proxies=10.0.0.0/8,::1");
        let settings = settings.expect("valid arguments");
        assert_eq!(
            (settings.host.as_str(), settings.port, settings.clients_max),
            ("::1", 80, 7)
        );
        assert_eq!(settings.protocol, Protocol::Length);
        assert_eq!(
            (settings.idle, settings.when_full),
            (Duration::from_millis(5), WhenFull::Drop)
        );
        assert_eq!(settings.proxies.len(), 2);
        let settings =
            GateSettings::parse("ws://0.0.0.0:80/game db@rooms packet_bytes=1000000").expect("valid");
        let path = "/game".into();
        assert_eq!(settings.protocol, Protocol::WebSocket { path });
        let address = Address::parse("@rooms").expect("a name");
        let node = "db".to_owned();
        assert_eq!(settings.target, Target::Remote { node, address });
        assert_eq!(settings.tls, None);
        let settings = GateSettings::parse("tls://0.0.0.0:80 .game 5 client_ca=ca.pem").expect("valid");
        assert_eq!(settings.protocol, Protocol::Length);
        let client_ca = Some("ca.pem".into());
        let tls = GateTls {
            client_ca,
            ..GateTls::default()
        };
        assert_eq!(settings.tls, Some(tls));
        let settings = GateSettings::parse("wss://[::1]:80/game .game").expect("valid");
        let path = "/game".into();
        assert_eq!(
            (settings.host.as_str(), settings.protocol),
            ("::1", Protocol::WebSocket { path })
        );
        assert_eq!(settings.tls, Some(GateTls::default()));
        let settings = GateSettings::parse("ws://0.0.0.0:80 .game").expect("valid");
        let path = "/".into();
        assert_eq!(settings.protocol, Protocol::WebSocket { path });
    }
}
