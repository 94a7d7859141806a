//! Setting up a node, from a config or from code.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use skyring_codec::link::HEARTBEAT_MS_MAX;
use skyring_codec::native::CHANNELS_MAX;

use crate::api::cluster::Open;
use crate::cluster::ClusterShared;
use crate::config::{
    ACCEPTS_PER_SECOND_DEFAULT, Admin, CALL_TIMEOUT_MS_DEFAULT, CLIENTS_PER_SOURCE_DEFAULT, ClusterMap,
    DOWN_AFTER_MS_DEFAULT, Discovery, LogFormat, LogLevel, LogSource, LogTime, NodeConfig, Otlp,
    RestartConfig, Runtime, STOP_TIMEOUT_MS_DEFAULT, Security, ServiceConfig, SupervisionConfig, WhenDown,
};
use crate::control::admin::{self, AdminParts, Profiler};
use crate::core::clock::whole_milliseconds;
use crate::core::injector::Injector;
use crate::core::jobs::Jobs;
use crate::core::node::{NodeShared, OnFailure};
use crate::core::settings::{DialectChoice, Settings};
use crate::error::Error;
use crate::log::{Destination, Level, Logger, Origin};
use crate::node::discovery;
use crate::node::error::StartError;
use crate::node::log_service::{self, STARTER};
use crate::node::log_style::log_style;
use crate::node::observers::{export_of_spans, listen_for_admin};
use crate::node::running::Node;
use crate::node::services::Services;
use crate::node::status;
use crate::rt::cpus;
use crate::rt::sys;
use crate::rt::{self, ExecutorOptions};
use crate::service::Kinds;
use crate::service::caller::Caller;
use crate::shard::mesh::Mesh;
use crate::shard::{Parts, Shard, tasks};

/// Sets up a node; [`NodeBuilder::start`] starts it.
pub struct NodeBuilder {
    threads: usize,
    spin: Duration,
    first_cpu: Option<usize>,
    runtime: Option<Runtime>,
    destination: Destination,
    log_time: LogTime,
    log_format: LogFormat,
    log_levels: BTreeMap<LogSource, LogLevel>,
    log_service: Option<ServiceConfig>,
    notices: Vec<String>,
    map: ClusterMap,
    discovery: Discovery,
    open: Option<String>,
    services: BTreeMap<String, ServiceConfig>,
    supervision: Option<SupervisionConfig>,
    on_failure: Option<OnFailure>,
    admin: Option<Admin>,
    profiler: Option<Profiler>,
    start: Option<String>,
    kinds: Kinds,
    settings: Settings,
    /// The config's file, for errors.
    file: Option<PathBuf>,
}

impl Default for NodeBuilder {
    /// One shard, no peers, log to standard output, 30 s for a call to another node.
    fn default() -> NodeBuilder {
        NodeBuilder {
            threads: 1,
            spin: Duration::ZERO,
            first_cpu: None,
            runtime: None,
            destination: Destination::Stdout,
            log_time: LogTime::None,
            log_format: LogFormat::Skynet,
            log_levels: BTreeMap::new(),
            log_service: None,
            notices: Vec::new(),
            map: ClusterMap::new(),
            discovery: Discovery::default(),
            open: None,
            services: BTreeMap::new(),
            supervision: None,
            on_failure: None,
            admin: None,
            profiler: None,
            start: None,
            kinds: Kinds::default(),
            settings: Settings {
                call_timeout_ms: u64::from(CALL_TIMEOUT_MS_DEFAULT),
                down_after_ms: u64::from(DOWN_AFTER_MS_DEFAULT),
                stop_timeout_ms: u64::from(STOP_TIMEOUT_MS_DEFAULT),
                clients_per_source_max: CLIENTS_PER_SOURCE_DEFAULT,
                accepts_per_second_max: ACCEPTS_PER_SECOND_DEFAULT,
                ..Settings::default()
            },
            file: None,
        }
    }
}

impl NodeBuilder {
    /// A node as a config file describes it, with the cluster map that the file names.
    pub fn from_config(config: NodeConfig, map: Option<ClusterMap>) -> NodeBuilder {
        let name = config.open.clone().unwrap_or_default();
        let listen = config
            .discovery
            .as_ref()
            .and_then(|discovery| discovery.listen.clone());
        NodeBuilder {
            threads: config.threads,
            spin: Duration::from_micros(u64::from(config.spin_us)),
            runtime: config.runtime,
            destination: config.logger.map_or(Destination::Stdout, Destination::File),
            log_time: config.log_time,
            log_format: config.log_format,
            log_levels: config.log_levels,
            log_service: config.log_service,
            notices: config.notices,
            map: map.unwrap_or_default(),
            discovery: config.discovery.unwrap_or_default(),
            open: config.open,
            services: config.services,
            admin: config.admin,
            supervision: config.supervision,
            start: config.start,
            settings: Settings {
                name,
                channels: config.channels,
                dialect: if config.skynet_only {
                    DialectChoice::Skynet
                } else {
                    DialectChoice::Auto
                },
                call_timeout_ms: u64::from(config.call_timeout_ms),
                down_after_ms: u64::from(config.down_after_ms),
                stop_timeout_ms: u64::from(config.stop_timeout_ms),
                when_down: config.when_down,
                idle_close_ms: u64::from(config.idle_close_ms),
                clients_per_source_max: config.clients_per_source_max,
                accepts_per_second_max: config.accepts_per_second_max,
                trace_every: config.trace_one_in,
                slow_call_ms: u64::from(config.slow_call_ms),
                security: config.security,
                otlp: config.otlp,
                map_file: config.cluster,
                listen,
                environment: config.environment,
            },
            file: Some(config.file),
            ..NodeBuilder::default()
        }
    }

    /// How many shards, each a pinned thread; at least 1.
    pub fn threads(mut self, threads: usize) -> NodeBuilder {
        self.threads = threads.max(1);
        self
    }

    /// How long a shard looks for I/O before it sleeps. It burns its processor for that long.
    pub fn spin(mut self, spin: Duration) -> NodeBuilder {
        self.spin = spin;
        self
    }

    /// Pins the first shard to this processor, a number from 0 among those allowed, the next shard to the
    /// next, and so on.
    pub fn first_cpu(mut self, first_cpu: usize) -> NodeBuilder {
        self.first_cpu = Some(first_cpu);
        self
    }

    /// What runs the shards. Without it the environment variable
    /// [`RUNTIME_VARIABLE`](crate::config::RUNTIME_VARIABLE) decides, and where that is not set, [`Runtime::Uring`].
    pub fn runtime(mut self, runtime: Runtime) -> NodeBuilder {
        self.runtime = Some(runtime);
        self
    }

    /// Where log lines go.
    pub fn log_to(mut self, destination: Destination) -> NodeBuilder {
        self.destination = destination;
        self
    }

    /// The time in front of log lines.
    pub fn log_time(mut self, time: LogTime) -> NodeBuilder {
        self.log_time = time;
        self
    }

    /// The form of log lines.
    pub fn log_format(mut self, format: LogFormat) -> NodeBuilder {
        self.log_format = format;
        self
    }

    /// Down to which level the lines of a source are written; [`LogLevel::Info`] unless this is called.
    pub fn log_level(mut self, source: LogSource, level: LogLevel) -> NodeBuilder {
        self.log_levels.insert(source, level);
        self
    }

    /// A service that takes the log lines instead, by its kind and arguments: each line is a message of the kind
    /// [`Kind::TEXT`](crate::Kind::TEXT) from the service that wrote it. The service starts before all others. Its own
    /// lines, and all lines after its end, go where [`log_to`](NodeBuilder::log_to) says.
    pub fn log_service(mut self, kind: &str, arguments: &str) -> NodeBuilder {
        self.log_service = Some(ServiceConfig {
            kind: kind.to_owned(),
            arguments: arguments.to_owned(),
            keyed: false,
            restart: RestartConfig::default(),
        });
        self
    }

    /// The cluster map.
    pub fn map(mut self, map: ClusterMap) -> NodeBuilder {
        self.map = map;
        self
    }

    /// The time for calls to other nodes that set none of their own, in whole milliseconds; zero = no limit.
    pub fn call_timeout(mut self, timeout: Duration) -> NodeBuilder {
        self.settings.call_timeout_ms = whole_milliseconds(timeout);
        self
    }

    /// How long another node may show no sign of life before it is called down, and calls to it fail at once;
    /// zero = for ever, an hour is the most. A connection without traffic is pinged after a quarter of it.
    pub fn down_after(mut self, time: Duration) -> NodeBuilder {
        self.settings.down_after_ms = whole_milliseconds(time).min(HEARTBEAT_MS_MAX);
        self
    }

    /// After how long without a message a channel to another node is closed, in whole milliseconds; zero = never, which is
    /// the default. It is opened again when it is used. Channels of monitored nodes and of members of groups stay.
    pub fn idle_close(mut self, time: Duration) -> NodeBuilder {
        self.settings.idle_close_ms = whole_milliseconds(time);
        self
    }

    /// What happens to calls to a node that is down, unless the map or the call says otherwise: [`WhenDown::Fail`] is the
    /// default.
    pub fn when_down(mut self, when_down: WhenDown) -> NodeBuilder {
        self.settings.when_down = when_down;
        self
    }

    /// How long [`Node::stop`] waits for the calls of peers that are in flight, and then again for the services to stop;
    /// zero = not at all.
    pub fn stop_timeout(mut self, time: Duration) -> NodeBuilder {
        self.settings.stop_timeout_ms = whole_milliseconds(time);
        self
    }

    /// What runs when the node fails: its supervisor, or one that [escalates to the
    /// node](crate::Supervisor::escalates_to_node), gives up. It gets the cause, runs once, on a shard, and must not
    /// block: let it wake the thread that stops the node. [`Node::failure`] has the cause too.
    pub fn on_failure(mut self, on_failure: impl FnOnce(&str) + Send + 'static) -> NodeBuilder {
        self.on_failure = Some(Box::new(on_failure));
        self
    }

    /// Serves health, metrics, status and profiles of the node over HTTP.
    pub fn admin(mut self, admin: Admin) -> NodeBuilder {
        self.admin = Some(admin);
        self
    }

    /// Exports the spans of traced calls to a collector; see the chapter Tracing of the book.
    pub fn otlp(mut self, collector: Otlp) -> NodeBuilder {
        self.settings.otlp = Some(collector);
        self
    }

    /// What takes a flame graph of this process for the admin server: it gets the time, and returns an SVG, or the text of
    /// an error. It runs on a thread that may block, once at a time. Without it there are no profiles there.
    pub fn profiler(
        mut self,
        profiler: impl Fn(Duration) -> Result<String, String> + Send + Sync + 'static,
    ) -> NodeBuilder {
        self.profiler = Some(Arc::new(profiler));
        self
    }

    /// Most connections of one listener from one source, which is an IPv4 address or an IPv6 network of 64 bits.
    pub fn clients_per_source_max(mut self, clients: usize) -> NodeBuilder {
        self.settings.clients_per_source_max = clients.max(1);
        self
    }

    /// Most connections that one source may open in a second, and at once after a pause.
    pub fn accepts_per_second_max(mut self, accepts: u32) -> NodeBuilder {
        self.settings.accepts_per_second_max = accepts.max(1);
        self
    }

    /// This node's name in the cluster map, which it sends to its peers. A config's `open` is one.
    pub fn name(mut self, name: &str) -> NodeBuilder {
        self.settings.name = name.to_owned();
        self
    }

    /// How many channels to have to each peer, and to let each peer have, 1 to
    /// [`CHANNELS_MAX`](crate::limits::CHANNELS_MAX). Where both ends say a number the lower one holds; where
    /// nobody does there is one channel.
    pub fn channels(mut self, channels: u32) -> NodeBuilder {
        self.settings.channels = Some(channels.clamp(1, CHANNELS_MAX));
        self
    }

    /// Which dialect to speak.
    pub fn dialect(mut self, dialect: DialectChoice) -> NodeBuilder {
        self.settings.dialect = dialect;
        self
    }

    /// Whom the node talks to: with a cluster secret only nodes that prove it, with a certificate only nodes that have one
    /// from the same CA. Without this, everybody who connects.
    pub fn security(mut self, security: Security) -> NodeBuilder {
        self.settings.security = Some(security);
        self
    }

    /// The first service, as a config's `start` names it: its kind, and its arguments after a space.
    pub fn first_service(mut self, kind_and_arguments: &str) -> NodeBuilder {
        self.start = Some(kind_and_arguments.to_owned());
        self
    }

    /// The service kinds that can be launched by name.
    pub fn kinds(mut self, kinds: Kinds) -> NodeBuilder {
        self.kinds = kinds;
        self
    }

    /// Starts the shards, then the services of the config, then listens. When this returns, the node can be
    /// reached.
    ///
    /// # Errors
    /// [`StartError`]; then nothing of the node is left.
    pub fn start(self) -> Result<Node, StartError> {
        self.check_certificate()?;
        let chosen = match self.runtime {
            Some(runtime) => runtime,
            None => Runtime::from_environment()?,
        };
        let runtime = rt::Runtime::select(chosen)?;
        rt::prepare(runtime)?;
        let open_files_max = sys::raise_open_files_max()?;
        let listener = listen_for_admin(self.admin.clone(), self.file.as_deref())?;
        let logger = self.start_log()?;
        let mut injectors = Vec::with_capacity(self.threads);
        for _ in 0..self.threads {
            injectors.push(Injector::new(runtime)?);
        }
        let map = discovery::own_map(&self.map, &self.discovery, &self.settings.name);
        let shared = NodeShared::new(
            injectors.into(),
            self.settings,
            logger,
            Jobs::start()?,
            open_files_max,
        );
        if let Some(on_failure) = self.on_failure {
            shared.set_on_failure(on_failure);
        }
        let parts = Arc::new(Parts {
            node: Arc::new(shared),
            mesh: Arc::new(Mesh::new(self.threads)),
            cluster: ClusterShared::new(map),
            sockets: Arc::default(),
            kinds: self.kinds,
        });
        let mut node = Node::new(&parts);
        let (running, all_running) = mpsc::channel();
        let cpus = cpus::assign(self.threads, self.first_cpu.unwrap_or(0))?;
        for (index, cpu) in cpus.into_iter().enumerate() {
            let bell = Arc::clone(parts.node.injectors[index].bell());
            let parts = Arc::clone(&parts);
            let options = ExecutorOptions {
                runtime,
                name: format!("shard-{index}"),
                cpu,
                spin: self.spin,
            };
            let running = running.clone();
            node.threads.push(rt::start(options, bell, move || {
                // Dropped without a message when there is no executor.
                let _ = running.send(());
                async move { tasks::run(Shard::new(index, &parts)).await }
            })?);
        }
        drop(running);
        if (0..self.threads).any(|_| all_running.recv().is_err()) {
            let failed = node.join_failed();
            return Err(failed.unwrap_or_else(|| io::Error::other("a shard ended as it started").into()));
        }
        let admin = listener.map(|(admin, listener)| {
            let parts = AdminParts {
                node: Arc::clone(&parts.node),
                admin,
                report: status::report,
                profiler: self.profiler,
                runtime: chosen.name(),
            };
            admin::task(parts, listener)
        });
        let observers = admin.into_iter().chain(export_of_spans(&parts)).collect();
        let mut finding = discovery::start(&parts, self.discovery, self.map, observers)?;
        node.control = finding.control.take();
        finding.wait_for_first_map();
        let file = self
            .file
            .map(|file| format!("{}: ", file.display()))
            .unwrap_or_default();
        let services = Services {
            services: self.services,
            supervision: self.supervision,
        };
        let (start, open) = (self.start, self.open);
        let bring_up = |caller: Caller| async move { bring_up(&caller, services, start, open).await };
        if let Err(error) = node.launch_own_service() {
            let failed = node.join_failed();
            return Err(failed.unwrap_or(StartError::Service {
                what: format!("{file}start"),
                error,
            }));
        }
        let running = match self.log_service {
            None => node.run(bring_up),
            Some(ServiceConfig { kind, arguments, .. }) => {
                match log_service::start(&node, &parts.node, &kind, &arguments) {
                    Ok(()) => node.run_as(STARTER, bring_up),
                    Err(error) => {
                        node.stop();
                        let what = format!("{file}logservice");
                        return Err(StartError::Service { what, error });
                    }
                }
            }
        };
        let started = running.and_then(|started| started.recv().map_err(|_| Error::ShuttingDown));
        match started {
            Ok(Ok(())) => match finding.publish() {
                Ok(()) => {
                    parts.node.is_ready.store(true, Ordering::Release);
                    Ok(node)
                }
                Err(cause) => {
                    node.stop();
                    Err(StartError::Service {
                        what: format!("{file}open"),
                        error: Error::invalid(cause),
                    })
                }
            },
            Ok(Err((what, error))) => {
                node.stop();
                Err(StartError::Service {
                    what: format!("{file}{what}"),
                    error,
                })
            }
            Err(error) => {
                let failed = node.join_failed();
                Err(failed.unwrap_or(StartError::Service {
                    what: format!("{file}start"),
                    error,
                }))
            }
        }
    }
}

#[cfg(feature = "testing")]
mod assembly;

impl NodeBuilder {
    /// Checks that the certificate is for the node's name, if it has both.
    fn check_certificate(&self) -> Result<(), StartError> {
        let name = &self.settings.name;
        let names = self
            .settings
            .security
            .as_ref()
            .and_then(|security| security.tls());
        let names = names.map(|tls| tls.names()).unwrap_or_default();
        if names.is_empty() || name.is_empty() || names.contains(name) {
            return Ok(());
        }
        let names = names.join(", ");
        Err(StartError::Service {
            what: "tls.certificate".to_owned(),
            error: Error::invalid(format!(
                "it is for {names}, and not for {name}, the name of this node"
            )),
        })
    }

    /// Starts the log, with the config's notices as its first lines.
    fn start_log(&self) -> Result<Logger, StartError> {
        let style = log_style(self.log_time, self.log_format, &self.log_levels);
        let logger = Logger::start_with(self.destination.clone(), style, self.log_service.is_some());
        let logger = logger.map_err(|error| match &self.destination {
            Destination::File(file) => StartError::Log {
                file: file.clone(),
                error,
            },
            Destination::Stdout => StartError::System(error),
        })?;
        for notice in &self.notices {
            logger.write(Origin::Node, Level::Warning, 0, notice);
        }
        Ok(logger)
    }
}

impl Node {
    /// A builder with its defaults.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }
}

/// Launches what the config names, and listens last, so that a peer that connects finds the services there.
async fn bring_up(
    caller: &Caller,
    services: Services,
    start: Option<String>,
    open: Option<String>,
) -> Result<(), (String, Error)> {
    services.launch(caller).await?;
    if let Some(start) = start {
        let (kind, arguments) = start.split_once(' ').unwrap_or((&start, ""));
        caller
            .launch_kind(kind, arguments.trim())
            .await
            .map_err(|error| ("start".to_owned(), error))?;
    }
    if let Some(open) = open {
        caller
            .cluster()
            .open(Open::Node(open), None)
            .await
            .map_err(|error| ("open".to_owned(), error))?;
    }
    Ok(())
}
