//! The `discovery` of a node config: where changes of the cluster map come from while the node runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::address::NodeAddress;
use super::error::{ConfigError, ConfigErrorKind, quoted};
use super::evaluate::{self, Entries, Value, Variables};
use super::group::Policy;
use super::map::{ClusterMap, NodeEntry, ZONE_BYTES_MAX, is_zone};

/// What stands in `discovery`.
const EXPECTED: &str = "a table, as in { watch = true }";

/// Most servers of etcd that a config names.
pub const ETCD_SERVERS_MAX: usize = 16;

/// The lease of a node's entry in etcd where the config does not set it, in seconds.
pub const LEASE_S_DEFAULT: u32 = 5;

/// How long a node that has left stays in the map where the config does not set it, in seconds.
pub const GRACE_S_DEFAULT: u32 = 60;

/// The keys that only etcd has.
const ETCD_KEYS: [&str; 9] = [
    "advertise",
    "ca",
    "certificate",
    "key",
    "lease_s",
    "password",
    "prefix",
    "user",
    "zone",
];

/// The keys that only DNS has.
const DNS_KEYS: [&str; 4] = ["period_s", "policy", "port", "server"];

/// The time between two look-ups where the config does not set it, in seconds.
pub const PERIOD_S_DEFAULT: u32 = 5;

/// Where changes of the cluster map come from while the node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `watch`: the map file is watched, and applied when it changes.
    pub watch: bool,
    /// `etcd`: the nodes find each other in etcd.
    pub etcd: Option<Etcd>,
    /// `dns`: the nodes are those that a name in DNS stands for.
    pub dns: Option<Dns>,
    /// `listen`: where the node listens. Default: where it is called.
    pub listen: Option<NodeAddress>,
    /// `grace_s`: for how many seconds a node that has left stays in the map; [`GRACE_S_DEFAULT`] by default.
    pub grace_s: Option<u32>,
}

/// DNS as a source of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `dns`: a service, whose name begins with `_`, or a host.
    pub name: String,
    /// `period_s`: the time between two look-ups, in seconds.
    pub period_s: u32,
    /// `port`: the port of the nodes, where the name is that of a host.
    pub port: u16,
    /// `server`: whom to ask. Default: whom the system asks.
    pub server: Option<SocketAddr>,
    /// `policy`: the policy of the group, where the name is that of a host.
    pub policy: Policy,
}

impl Dns {
    /// Whether the name is that of a service, with SRV records.
    pub fn is_service(&self) -> bool {
        self.name.starts_with('_')
    }

    /// What stands before the first dot of the name.
    pub fn first_word(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }
}

/// etcd as a source of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// `etcd`: its servers, 1 to [`ETCD_SERVERS_MAX`].
    pub endpoints: Vec<EtcdEndpoint>,
    /// `prefix`: what stands before the names of nodes in their keys; ends with `/`.
    pub prefix: String,
    /// `advertise`: where other nodes call this one. Default: where the map has the node's name.
    pub advertise: Option<NodeAddress>,
    /// `lease_s`: after how many seconds without a sign of life the node's entry is removed.
    pub lease_s: u32,
    /// `zone`: the node's zone. Default: what its name says.
    pub zone: Option<String>,
    /// `user` and `password`.
    pub user: Option<(String, Password)>,
    /// `ca`: the file with the certificates that a server's certificate must come from.
    pub ca: Option<PathBuf>,
    /// `certificate` and `key`: the files with this client's certificate and its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A server of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdEndpoint {
    /// Where it listens for clients.
    pub address: NodeAddress,
    /// Whether it speaks TLS: `https://` stands before it.
    pub is_tls: bool,
}

/// A password, which no output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(crate) fn new(text: &str) -> Password {
        Password(text.to_owned())
    }

    /// The password itself.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

/// The entries of the table, for typed reading.
struct Table<'a> {
    path: &'a Path,
    entries: &'a Entries,
}

fn unsupported(path: &Path, key: &str, hint: &'static str) -> ConfigError {
    ConfigError::of_key(
        path,
        &format!("discovery.{key}"),
        ConfigErrorKind::Unsupported(hint),
    )
}

impl Table<'_> {
    fn wrong(&self, key: &str, expected: impl Into<String>, found: &Value) -> ConfigError {
        ConfigError::wrong_value(self.path, &format!("discovery.{key}"), expected, found)
    }

    /// A text; an empty one is none, as in the rest of a config.
    fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            // It may be a password: what is there is not shown.
            Some(_) if key == "password" => Err(self.wrong(key, "text", &Value::Other("something else"))),
            Some(found) => Err(self.wrong(key, "text", found)),
        }
    }

    fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    fn seconds(&self, key: &str, least: u32, default: u32) -> Result<u32, ConfigError> {
        let Some(found) = self.entries.get(key) else {
            return Ok(default);
        };
        let number = match found {
            Value::Number { whole, .. } => *whole,
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number
            .filter(|number| (least..=SECONDS_MAX).contains(number))
            .ok_or_else(|| self.wrong(key, format!("seconds, {least} to {SECONDS_MAX}"), found))
    }

    fn address(&self, key: &str) -> Result<Option<NodeAddress>, ConfigError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let address = text.parse().map(Some);
        address.map_err(|expected| self.wrong(key, expected, &Value::Text(text)))
    }
}

/// The longest time that `discovery` takes, in seconds.
const SECONDS_MAX: u32 = 86_400;

impl Discovery {
    /// Reads the key of a config; `None` = it is not set.
    pub(super) fn read(path: &Path, value: Option<&Value>) -> Result<Option<Discovery>, ConfigError> {
        let entries = match value {
            None => return Ok(None),
            Some(Value::Table(entries)) => entries,
            Some(found) => return Err(ConfigError::wrong_value(path, "discovery", EXPECTED, found)),
        };
        let table = Table { path, entries };
        let (has_etcd, has_dns) = (entries.contains_key("etcd"), entries.contains_key("dns"));
        if has_etcd && has_dns {
            return Err(unsupported(
                path,
                "dns",
                "there is etcd too; nodes are found by one of the two",
            ));
        }
        for key in entries.keys() {
            match key.as_str() {
                "watch" | "etcd" | "dns" => {}
                "grace_s" | "listen" if has_etcd || has_dns => {}
                key if ETCD_KEYS.contains(&key) && has_etcd => {}
                key if DNS_KEYS.contains(&key) && has_dns => {}
                key if DNS_KEYS.contains(&key) => {
                    return Err(unsupported(path, key, "has no effect without dns = \"NAME\""));
                }
                key @ ("grace_s" | "listen") => {
                    return Err(unsupported(path, key, "has no effect without etcd or dns"));
                }
                key if ETCD_KEYS.contains(&key) => {
                    return Err(unsupported(
                        path,
                        key,
                        "has no effect without etcd = { \"HOST:PORT\" }",
                    ));
                }
                key => {
                    let hint = "not known; discovery has watch; etcd, prefix, advertise, lease_s, zone, user, password, ca, \
                                certificate, key; dns, period_s, port, policy, server; listen and grace_s";
                    return Err(unsupported(path, key, hint));
                }
            }
        }
        let watch = match entries.get("watch") {
            None => false,
            Some(Value::Boolean(watch)) => *watch,
            Some(found) => return Err(table.wrong("watch", "true or false", found)),
        };
        let etcd = entries.get("etcd").map(|servers| Etcd::read(&table, servers));
        Ok(Some(Discovery {
            watch,
            etcd: etcd.transpose()?,
            dns: Dns::read(&table)?,
            listen: table.address("listen")?,
            grace_s: match entries.contains_key("grace_s") {
                true => Some(table.seconds("grace_s", 0, GRACE_S_DEFAULT)?),
                false => None,
            },
        }))
    }

    /// Reads the text of a table, as it stands behind `discovery =`; `name` stands in errors.
    ///
    /// # Errors
    /// When it cannot be evaluated, or is wrong.
    pub fn parse(text: &str, name: &str) -> Result<Discovery, ConfigError> {
        let path = Path::new(name);
        let text = format!("discovery = {text}").into_bytes();
        let entries = evaluate::evaluate(path, text, Variables::Replaced)?;
        Ok(Discovery::read(path, entries.get("discovery"))?.unwrap_or_default())
    }

    /// Checks it against the rest of the config.
    pub(super) fn check(&self, path: &Path, has_map: bool, name: Option<&str>) -> Result<(), ConfigError> {
        if self.watch && !has_map {
            return Err(ConfigError::of_key(
                path,
                "discovery.watch",
                ConfigErrorKind::MapNotNamed,
            ));
        }
        let Some(etcd) = &self.etcd else { return Ok(()) };
        match name {
            None if etcd.advertise.is_some() => {
                let hint = "without effect for a node without a name; add open = \"NAME\"";
                Err(unsupported(path, "advertise", hint))
            }
            Some(_) if etcd.advertise.is_none() && !has_map => {
                let hint = "missing: where other nodes call this one, \"HOST:PORT\"";
                Err(unsupported(path, "advertise", hint))
            }
            Some(name) if name.contains('/') || name.starts_with("__") => {
                let kind = ConfigErrorKind::WrongValue {
                    expected: "a name without / that does not begin with __, because it is a key in etcd"
                        .to_owned(),
                    found: quoted(name),
                };
                Err(ConfigError::of_key(path, "open", kind))
            }
            _ => Ok(()),
        }
    }

    /// Where other nodes call the node of this name, if it is to be found by them.
    pub fn advertised(&self, name: &str, map: &ClusterMap) -> Option<NodeAddress> {
        let of_map = || map.nodes.get(name).and_then(NodeEntry::address).cloned();
        self.etcd.as_ref()?.advertise.clone().or_else(of_map)
    }
}

impl Dns {
    fn read(table: &Table<'_>) -> Result<Option<Dns>, ConfigError> {
        let Some(name) = table.text("dns")? else {
            return match table.entries.get("dns") {
                Some(found) => Err(table.wrong("dns", NAME_EXPECTED, found)),
                None => Ok(None),
            };
        };
        let is_label = |label: &str| !label.is_empty() && label.len() <= 63;
        let is_name = name.len() <= 253
            && name.strip_suffix('.').unwrap_or(&name).split('.').all(is_label)
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !is_name {
            return Err(table.wrong("dns", NAME_EXPECTED, &Value::Text(name)));
        }
        let port = table.entries.get("port");
        let found = match port {
            Some(Value::Number { whole, .. }) => whole.and_then(|whole| u16::try_from(whole).ok()),
            _ => None,
        };
        let port = match (port, found.filter(|port| *port > 0), name.starts_with('_')) {
            (None, _, true) => 0,
            (Some(_), _, true) => {
                return Err(unsupported(
                    table.path,
                    "port",
                    "has no effect: the records of a service have it",
                ));
            }
            (None, _, false) => {
                let hint = "missing: the addresses of a host have none; or give the name of a service, _NAME._tcp.DOMAIN";
                return Err(unsupported(table.path, "port", hint));
            }
            (Some(_), Some(port), false) => port,
            (Some(value), None, false) => return Err(table.wrong("port", "a port from 1 to 65535", value)),
        };
        let policy = match table.text("policy")? {
            None => Policy::RoundRobin,
            Some(_) if name.starts_with('_') => {
                let hint = "has no effect: the nodes of a service are no group; name groups in a map";
                return Err(unsupported(table.path, "policy", hint));
            }
            Some(text) => Policy::ALL
                .into_iter()
                .find(|policy| policy.name() == text)
                .ok_or_else(|| {
                    let names = Policy::ALL.map(|policy| quoted(policy.name())).join(", ");
                    table.wrong("policy", format!("one of {names}"), &Value::Text(text))
                })?,
        };
        let server = table.text("server")?.map(|text| {
            let parsed = text.parse::<SocketAddr>();
            parsed.map_err(|_| table.wrong("server", "the address and port of a server", &Value::Text(text)))
        });
        Ok(Some(Dns {
            name,
            period_s: table.seconds("period_s", 1, PERIOD_S_DEFAULT)?,
            port,
            server: server.transpose()?,
            policy,
        }))
    }
}

/// What `dns` is.
const NAME_EXPECTED: &str = "the name of a service or of a host, as in \"_skyring._tcp.game.svc\"";

impl Etcd {
    fn read(table: &Table<'_>, servers: &Value) -> Result<Etcd, ConfigError> {
        let prefix = table.text("prefix")?.ok_or_else(|| {
            let hint = "missing: what stands before the names of nodes, as in \"/skyring/game/\"";
            unsupported(table.path, "prefix", hint)
        })?;
        if !prefix.ends_with('/') || prefix.len() > PREFIX_BYTES_MAX {
            let expected = format!("a text of up to {PREFIX_BYTES_MAX} bytes that ends with /");
            return Err(table.wrong("prefix", expected, &Value::Text(prefix)));
        }
        let advertise = table.address("advertise")?;
        if let Some(address) = &advertise {
            check_advertised(table, address)?;
        }
        let zone = table.text("zone")?;
        if let Some(zone) = zone.as_ref().filter(|zone| !is_zone(zone)) {
            let expected = format!("1 to {ZONE_BYTES_MAX} bytes, none a control character");
            return Err(table.wrong("zone", expected, &Value::Text(zone.clone())));
        }
        let user = match (table.text("user")?, table.text("password")?) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user, Password(password))),
            (Some(_), None) => return Err(unsupported(table.path, "password", "missing: user has one")),
            (None, Some(_)) => return Err(unsupported(table.path, "user", "missing: password is for one")),
        };
        let certificate = match (table.path("certificate")?, table.path("key")?) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => return Err(unsupported(table.path, "key", "missing: certificate has one")),
            (None, Some(_)) => return Err(unsupported(table.path, "certificate", "missing: key is for one")),
        };
        let etcd = Etcd {
            endpoints: endpoints(table, servers)?,
            prefix,
            advertise,
            lease_s: table.seconds("lease_s", 2, LEASE_S_DEFAULT)?,
            zone,
            user,
            ca: table.path("ca")?,
            certificate,
        };
        let is_tls = etcd.endpoints.iter().any(|endpoint| endpoint.is_tls);
        match (is_tls, &etcd.ca, &etcd.certificate) {
            (true, None, _) => {
                let hint = "missing: the file with the certificates that etcd's must come from";
                Err(unsupported(table.path, "ca", hint))
            }
            (false, Some(_), _) => Err(unsupported(table.path, "ca", NO_TLS)),
            (false, _, Some(_)) => Err(unsupported(table.path, "certificate", NO_TLS)),
            _ => Ok(etcd),
        }
    }
}

/// The longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 255;

/// What is said of a file for TLS where no server speaks it.
const NO_TLS: &str = "has no effect without TLS; write the servers as \"https://HOST:PORT\"";

/// Checks that other nodes can call this address.
fn check_advertised(table: &Table<'_>, address: &NodeAddress) -> Result<(), ConfigError> {
    let ip = address.host().parse::<IpAddr>();
    if ip.is_ok_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
        let expected =
            "the address by which other nodes reach this one; where it listens may stand in listen";
        return Err(table.wrong("advertise", expected, &Value::Text(address.to_string())));
    }
    Ok(())
}

fn endpoints(table: &Table<'_>, servers: &Value) -> Result<Vec<EtcdEndpoint>, ConfigError> {
    let expected = "a table of its servers, as in { \"127.0.0.1:2379\" }";
    let listed = match servers {
        Value::Mixed { listed, named } if named.is_empty() => listed,
        found => return Err(table.wrong("etcd", expected, found)),
    };
    if listed.is_empty() || listed.len() > ETCD_SERVERS_MAX {
        let expected = format!("1 to {ETCD_SERVERS_MAX} servers");
        return Err(table.wrong("etcd", expected, servers));
    }
    let read = |(index, value): (usize, &Value)| {
        let key = format!("etcd[{}]", index + 1);
        let Value::Text(text) = value else {
            return Err(table.wrong(&key, "\"HOST:PORT\" or \"https://HOST:PORT\"", value));
        };
        let (is_tls, address) = match text.strip_prefix("https://") {
            Some(address) => (true, address),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        let address = address.trim_end_matches('/').parse();
        Ok(EtcdEndpoint {
            address: address.map_err(|expected: &str| table.wrong(&key, expected, value))?,
            is_tls,
        })
    };
    listed.iter().enumerate().map(read).collect()
}
