//! The node config: what one node runs, with how many threads, and under which name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use skyring_codec::link::HEARTBEAT_MS_MAX;
use skyring_codec::native::{CHANNELS_MAX, Secrets};

use super::address::NodeAddress;
use super::admin::{self, Admin};
use super::discovery::Discovery;
use super::error::{ConfigError, ConfigErrorKind, listed, quoted};
use super::evaluate::{self, Entries, Value, Variables};
use super::harbor;
use super::keys::Keys;
use super::known::{NODE_KEYS, SECURITY_KEYS, is_meant_as_tls, misspelt};
use super::logging::{self, LogFormat, LogLevel, LogSource, LogTime};
use super::map::{ClusterMap, NodeEntry};
use super::otlp::{self, Otlp};
use super::runtime::{Runtime, UNKNOWN_RUNTIME};
use super::secret;
use super::security::Security;
use super::service::{ServiceConfig, SupervisionConfig};
use super::source;
use super::when_down::WhenDown;

/// Most connections of one listener from one source unless the config says otherwise.
pub const CLIENTS_PER_SOURCE_DEFAULT: usize = 4_096;

/// Most connections that one source may open in a second, and at once after a pause, unless the config says
/// otherwise.
pub const ACCEPTS_PER_SECOND_DEFAULT: u32 = 1_000;

/// The most shards a node can have, as in Skynet.
pub const THREADS_MAX: usize = 1024;

/// The deadline of a cluster call where the config names none, in milliseconds.
pub const CALL_TIMEOUT_MS_DEFAULT: u32 = 30_000;

/// After how long without a sign of life a node is down where the config says nothing, in milliseconds.
pub const DOWN_AFTER_MS_DEFAULT: u32 = 2_000;

/// How long a stop waits for calls in flight where the config does not set it, in milliseconds.
pub const STOP_TIMEOUT_MS_DEFAULT: u32 = 5_000;

/// The longest time a shard may be configured to spin before it sleeps, in microseconds.
pub const SPIN_US_MAX: u32 = 1_000_000;

/// A node config, read and checked.
///
/// Text values have `$NAME` replaced from the environment of the process before the file is evaluated, as
/// Skynet does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The file the config was read from.
    pub file: PathBuf,
    /// `thread`: the number of shards, 1..=[`THREADS_MAX`]. Default: the CPUs this process may use.
    pub threads: usize,
    /// `logger`: the log file; `None` is the standard output. `None` also where `log_service` takes the lines.
    pub logger: Option<PathBuf>,
    /// `logservice` and `logger`: the service that takes the log lines instead of a file, as its kind and arguments.
    pub log_service: Option<ServiceConfig>,
    /// `log_time`: the time in front of log lines. Default: as in Skynet, [`LogTime::Skynet`] in a file and
    /// [`LogTime::None`] on the standard output.
    pub log_time: LogTime,
    /// `log_format`: the form of log lines. Default: Skynet's.
    pub log_format: LogFormat,
    /// `log_levels`: down to which level lines of a source are written. Default: [`LogLevel::Info`] for each.
    pub log_levels: BTreeMap<LogSource, LogLevel>,
    /// `logpath`: the directory for the logs of single services.
    pub logpath: Option<PathBuf>,
    /// `harbor`: the number of a harbor that runs alone; 0 is none.
    pub harbor: u8,
    /// `daemon`: the node runs in the background, and this file has its process id.
    pub daemon: Option<PathBuf>,
    /// `start`: the first service, with its arguments after a space.
    pub start: Option<String>,
    /// `bootstrap`: the service that starts the others. Default: `snlua bootstrap`.
    pub bootstrap: String,
    /// `lualoader`: the Lua file that loads Lua services.
    pub lualoader: Option<OsString>,
    /// `luaservice`: path templates with `?` for Lua services.
    pub luaservice: Option<OsString>,
    /// `lua_path`: path templates for Lua modules.
    pub lua_path: Option<OsString>,
    /// `lua_cpath`: path templates for modules in C.
    pub lua_cpath: Option<OsString>,
    /// `cpath`: path templates for services in C.
    pub cpath: Option<OsString>,
    /// `preload`: a Lua file to run before every Lua service.
    pub preload: Option<OsString>,
    /// `profile`: whether the time each service takes is measured. Default: true.
    pub profile: bool,
    /// `cluster`: the cluster map file. Looked up in the working directory, as Skynet does, and if it is not
    /// there, beside the config file; this is the path at which it was found.
    pub cluster: Option<PathBuf>,
    /// `discovery`: where changes of the map come from while the node runs.
    pub discovery: Option<Discovery>,
    /// `open`: the name of the map entry to listen on, which is this node's name.
    pub open: Option<String>,
    /// `services`: the services to start, by the name they are registered under.
    pub services: BTreeMap<String, ServiceConfig>,
    /// `supervision`: how the services are supervised. `None`: only if one of them is started again after its end.
    pub supervision: Option<SupervisionConfig>,
    /// `call_timeout_ms`: the deadline of a cluster call, in milliseconds; 0 is none. Default:
    /// [`CALL_TIMEOUT_MS_DEFAULT`].
    pub call_timeout_ms: u32,
    /// `channels`: how many channels to have to each peer, and to let each peer have, 1..=1024. Default:
    /// what the peer says, else 1.
    pub channels: Option<u32>,
    /// `down_after_ms`: how long another node may show no sign of life before it is called down, in milliseconds,
    /// 0..=[`HEARTBEAT_MS_MAX`]; 0 is for ever. Default: [`DOWN_AFTER_MS_DEFAULT`].
    pub down_after_ms: u32,
    /// `idle_close_ms`: after how long without a message a channel to a peer is closed, in milliseconds; 0 is never.
    /// Default: never.
    pub idle_close_ms: u32,
    /// `clients_per_source_max`: most connections of a listener from one source. Default:
    /// [`CLIENTS_PER_SOURCE_DEFAULT`].
    pub clients_per_source_max: usize,
    /// `accepts_per_second_max`: most connections that one source may open in a second. Default:
    /// [`ACCEPTS_PER_SECOND_DEFAULT`].
    pub accepts_per_second_max: u32,
    /// `stop_timeout_ms`: how long a stop waits for the calls of peers that are in flight, and then for its services to
    /// stop, in milliseconds. Default:
    /// [`STOP_TIMEOUT_MS_DEFAULT`].
    pub stop_timeout_ms: u32,
    /// `trace_one_in`: one of so many calls that nobody asks to trace is traced; 0 = none. Default: 1 with a `slow_call_ms`, else
    /// 0.
    pub trace_one_in: u32,
    /// `slow_call_ms`: a traced call that takes as long is logged, in milliseconds; 0 = none. Default: 0.
    pub slow_call_ms: u32,
    /// `when_down`: whether calls to a node that is down fail at once or wait. Default: they fail.
    pub when_down: WhenDown,
    /// `dialect`: whether only the skynet dialect is spoken (`"skynet"`) or the native one with Skyring nodes
    /// (`"auto"`). Default: `"auto"`.
    pub skynet_only: bool,
    /// `cluster_secret` or `cluster_secret_file`, `tls`, `allow` and `allow_skynet_peers`: whom the node talks to. `None`: everybody who
    /// connects.
    pub security: Option<Security>,
    /// `admin`, and `admin_token` or `admin_token_file`: where the node serves its metrics and its dashboard.
    pub admin: Option<Admin>,
    /// `otlp`: where the node exports its spans. Only in builds with the feature `otlp`.
    pub otlp: Option<Otlp>,
    /// `spin_us`: how long a shard looks for work before it sleeps, in microseconds,
    /// 0..=[`SPIN_US_MAX`]. Default: 0.
    pub spin_us: u32,
    /// `runtime`: what runs the shards. Default: [`RUNTIME_VARIABLE`](super::RUNTIME_VARIABLE), else `uring`.
    pub runtime: Option<Runtime>,
    /// Every key of the config with its value as text, for `getenv`: texts as they are, in whatever encoding, numbers as
    /// Lua prints them, booleans as `true` and `false`. Tables, `cluster_secret` and `admin_token` are left out. The defaults of `thread`, `harbor`,
    /// `bootstrap` and `profile` are in it, as in Skynet.
    pub environment: BTreeMap<String, Vec<u8>>,
    /// Lines about keys that do not do what they do in Skynet, and about unknown keys that look like a misspelt one.
    pub notices: Vec<String>,
}

impl NodeConfig {
    /// Reads, evaluates and checks a node config, and checks it against the cluster map it names. An empty
    /// file is a config with every default.
    ///
    /// # Errors
    /// When the config or its map cannot be read or evaluated, when a value is of the wrong type or out of
    /// range, or when `open` does not name a node of the map that has an address.
    pub fn load(path: &Path) -> Result<NodeConfig, ConfigError> {
        let (config, map) = NodeConfig::load_with_map(path)?;
        // The map was read only to check the config; who needs it asks for it, and gets it as it is then.
        drop(map);
        Ok(config)
    }

    /// As [`NodeConfig::load`], and gives the cluster map too, if the config names one.
    ///
    /// # Errors
    /// As [`NodeConfig::load`].
    pub fn load_with_map(path: &Path) -> Result<(NodeConfig, Option<ClusterMap>), ConfigError> {
        let mut entries = evaluate::evaluate(path, source::read(path)?, Variables::Replaced)?;
        if is_map_only(&entries) {
            return Err(ConfigError::of_file(path, ConfigErrorKind::MapNotConfig));
        }
        let secrets = secret::take(path, &mut entries)?;
        let token = secret::take_admin_token(path, &mut entries)?;
        let mut config = NodeConfig::from_entries(path, &entries, secrets)?;
        let keys = Keys {
            path,
            entries: &entries,
        };
        config.admin = admin::read(&keys, token)?;
        let map = match &config.cluster {
            Some(cluster) => Some(ClusterMap::load(cluster)?),
            None => None,
        };
        match (&map, &config.open) {
            (Some(map), _) => config.validate_against(map)?,
            (None, None) => {}
            (None, Some(_)) if config.has_own_address() => {}
            (None, Some(_)) => {
                return Err(ConfigError::of_key(path, "open", ConfigErrorKind::MapNotNamed));
            }
        }
        Ok((config, map))
    }

    /// Checks that `open`, if it is set, names a node of this map that has an address.
    ///
    /// # Errors
    /// When it does not; the error lists the nodes the map has.
    pub fn validate_against(&self, map: &ClusterMap) -> Result<(), ConfigError> {
        let Some(name) = &self.open else { return Ok(()) };
        if self.has_own_address() {
            return Ok(());
        }
        let file = map
            .file
            .as_deref()
            .unwrap_or(Path::new("(built in code)"))
            .display()
            .to_string();
        let kind = match map.nodes.get(name) {
            Some(NodeEntry::Address(_)) => return Ok(()),
            Some(NodeEntry::Disabled) => ConfigErrorKind::NodeDisabled {
                name: quoted(name),
                map: file,
            },
            None => {
                let known = listed(map.nodes.keys().map(String::as_str));
                ConfigErrorKind::NodeUnknown {
                    name: quoted(name),
                    map: file,
                    known,
                }
            }
        };
        Err(ConfigError::of_key(&self.file, "open", kind))
    }

    /// Whether the address of `open` stands in `discovery`, and need not be in the map.
    fn has_own_address(&self) -> bool {
        let Some(discovery) = &self.discovery else {
            return false;
        };
        let etcd = discovery.etcd.as_ref();
        etcd.is_some_and(|etcd| etcd.advertise.is_some())
            || (discovery.dns.is_some() && discovery.listen.is_some())
    }

    fn from_entries(
        path: &Path,
        entries: &Entries,
        secrets: Option<Secrets>,
    ) -> Result<NodeConfig, ConfigError> {
        let keys = Keys { path, entries };
        let (harbor, mut notices) = harbor::read(&keys)?;
        for (key, known) in entries.keys().filter_map(|key| Some((key, misspelt(key)?))) {
            if SECURITY_KEYS.contains(&known) || is_meant_as_tls(key) {
                let text = format!(
                    "is no key of a node; is it meant to be {known}? The node would be open without it"
                );
                return Err(ConfigError::of_key(path, key, ConfigErrorKind::Security(text)));
            }
            let key = quoted(key);
            notices.push(format!(
                "{key} is no key of a node; is it meant to be {known}? It is only kept for getenv"
            ));
        }
        let security = secret::read(&keys, secrets)?;
        let log = logging::read(&keys)?;
        let threads = keys.number("thread", 1..=THREADS_MAX as i64, "a whole number from 1 to 1024")?;
        let call_timeout_ms = keys.number(
            "call_timeout_ms",
            0..=i64::from(u32::MAX),
            "milliseconds, 0 for no deadline",
        )?;
        let down_after_ms = keys.number(
            "down_after_ms",
            0..=HEARTBEAT_MS_MAX as i64,
            "milliseconds, 0 to 3600000; 0 is for ever",
        )?;
        let idle_close_ms = keys.number(
            "idle_close_ms",
            0..=i64::from(u32::MAX),
            "milliseconds, 0 for never",
        )?;
        let clients_per_source_max = keys.number(
            "clients_per_source_max",
            1..=i64::from(u32::MAX),
            "a whole number from 1 on",
        )?;
        let accepts_per_second_max = keys.number(
            "accepts_per_second_max",
            1..=1_000_000,
            "a whole number from 1 to 1000000",
        )?;
        let stop_timeout_ms = keys.number(
            "stop_timeout_ms",
            0..=i64::from(u32::MAX),
            "milliseconds, 0 for not at all",
        )?;
        let trace_one_in = keys.number(
            "trace_one_in",
            0..=i64::from(u32::MAX),
            "a whole number, 0 for none",
        )?;
        let slow_call_ms = keys.number(
            "slow_call_ms",
            0..=i64::from(u32::MAX),
            "milliseconds, 0 for none",
        )?;
        let spin_us = keys.number(
            "spin_us",
            0..=i64::from(SPIN_US_MAX),
            "microseconds, 0 to 1000000",
        )?;
        let channels = keys.number(
            "channels",
            1..=i64::from(CHANNELS_MAX),
            "a whole number from 1 to 1024",
        )?;
        let when_down = match keys.text("when_down")?.as_deref().map(str::parse) {
            None => WhenDown::default(),
            Some(Ok(when_down)) => when_down,
            Some(Err(_)) => return Err(ConfigError::of_key(path, "when_down", WhenDown::unknown())),
        };
        let skynet_only = match keys.text("dialect")?.as_deref() {
            None | Some("auto") => false,
            Some("skynet") => true,
            Some(_) => {
                let hint = "not known; it is \"auto\" or \"skynet\"";
                return Err(ConfigError::of_key(
                    path,
                    "dialect",
                    ConfigErrorKind::Unsupported(hint),
                ));
            }
        };
        if skynet_only && security.is_some() {
            let hint = "\"skynet\" excludes cluster_secret and tls: the skynet dialect proves nothing, and has no TLS";
            return Err(ConfigError::of_key(
                path,
                "dialect",
                ConfigErrorKind::Unsupported(hint),
            ));
        }
        let runtime = keys.text("runtime")?.map(|name| name.parse::<Runtime>());
        let runtime = runtime.transpose().map_err(|_| {
            ConfigError::of_key(path, "runtime", ConfigErrorKind::Unsupported(UNKNOWN_RUNTIME))
        })?;
        let mut config = NodeConfig {
            file: path.to_owned(),
            threads: threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
            logger: log.file,
            log_service: log.service,
            log_time: log.time,
            log_format: log.format,
            log_levels: log.levels,
            logpath: keys.path("logpath")?,
            harbor,
            daemon: keys.path_or_false("daemon")?,
            start: keys.text("start")?,
            bootstrap: keys
                .text("bootstrap")?
                .unwrap_or_else(|| "snlua bootstrap".to_owned()),
            lualoader: keys.bytes("lualoader")?,
            luaservice: keys.bytes("luaservice")?,
            lua_path: keys.bytes("lua_path")?,
            lua_cpath: keys.bytes("lua_cpath")?,
            cpath: keys.bytes("cpath")?,
            preload: keys.bytes("preload")?,
            profile: keys.boolean("profile")?.unwrap_or(true),
            cluster: keys
                .path("cluster")?
                .map(|named| found_map(path, &named))
                .transpose()?,
            discovery: Discovery::read(path, entries.get("discovery"))?,
            open: keys.text("open")?,
            services: keys.services()?,
            supervision: keys.supervision()?,
            call_timeout_ms: call_timeout_ms.unwrap_or(CALL_TIMEOUT_MS_DEFAULT),
            channels,
            down_after_ms: down_after_ms.unwrap_or(DOWN_AFTER_MS_DEFAULT),
            idle_close_ms: idle_close_ms.unwrap_or(0),
            clients_per_source_max: clients_per_source_max.unwrap_or(CLIENTS_PER_SOURCE_DEFAULT),
            accepts_per_second_max: accepts_per_second_max.unwrap_or(ACCEPTS_PER_SECOND_DEFAULT),
            stop_timeout_ms: stop_timeout_ms.unwrap_or(STOP_TIMEOUT_MS_DEFAULT),
            trace_one_in: trace_one_in.unwrap_or(u32::from(slow_call_ms.is_some_and(|limit: u32| limit > 0))),
            slow_call_ms: slow_call_ms.unwrap_or(0),
            when_down,
            skynet_only,
            security,
            admin: None,
            otlp: otlp::read(&keys)?,
            spin_us: spin_us.unwrap_or(0),
            runtime,
            environment: keys.environment()?,
            notices,
        };
        if let Some(tls) = config.security.as_ref().and_then(Security::tls) {
            config.notices.extend(tls.warnings());
        }
        if let Some(discovery) = &config.discovery {
            discovery.check(path, config.cluster.is_some(), config.open.as_deref())?;
        }
        for (key, value) in [
            ("thread", config.threads.to_string()),
            ("harbor", config.harbor.to_string()),
            ("bootstrap", config.bootstrap.clone()),
            ("profile", config.profile.to_string()),
        ] {
            let value = value.into_bytes();
            config.environment.entry(key.to_owned()).or_insert(value);
        }
        Ok(config)
    }

    /// A key of [`environment`](NodeConfig::environment), if its value is UTF-8.
    pub fn environment_text(&self, key: &str) -> Option<&str> {
        str::from_utf8(self.environment.get(key)?).ok()
    }
}

/// Whether a file is to be read as a cluster map: no key of a node config is set, except to what a node with
/// that name could be set to.
pub(super) fn is_map(entries: &Entries) -> bool {
    NODE_KEYS
        .iter()
        .filter_map(|key| entries.get(*key))
        .all(|value| off(value) || address(value))
}

/// Whether a file can be nothing but a cluster map: every value is that of a node or an option, and there is a
/// node with an address.
fn is_map_only(entries: &Entries) -> bool {
    entries
        .iter()
        .all(|(key, value)| key.starts_with("__") || off(value) || address(value))
        && entries.values().any(address)
}

fn off(value: &Value) -> bool {
    *value == Value::Boolean(false)
}

fn address(value: &Value) -> bool {
    matches!(value, Value::Text(text) if NodeAddress::from_str(text).is_ok())
}

/// The path at which the map file is found.
fn found_map(config: &Path, named: &Path) -> Result<PathBuf, ConfigError> {
    let directory = config.parent().unwrap_or(Path::new(""));
    let beside = directory.join(named);
    if named.exists() {
        return Ok(named.to_owned());
    }
    if beside.exists() {
        return Ok(beside);
    }
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let kind = ConfigErrorKind::MapMissing {
        named: quoted(&named.to_string_lossy()),
        beside: directory.display().to_string(),
    };
    Err(ConfigError::of_key(config, "cluster", kind))
}
