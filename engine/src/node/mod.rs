//! A node: one process's shards, started from a config or from code, and stopped in order.

pub(crate) mod shared;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skyring_codec::link::HEARTBEAT_MS_MAX;
use skyring_codec::native::CHANNELS_MAX;
use thiserror::Error as ThisError;

use crate::client::Client;
use crate::cluster::api::Open;
use crate::cluster::clients::{ACCEPTS_PER_SECOND_DEFAULT, CLIENTS_PER_SOURCE_DEFAULT};
use crate::config::{
    CALL_TIMEOUT_MS_DEFAULT, ClusterMap, DOWN_AFTER_MS_DEFAULT, NodeConfig, STOP_TIMEOUT_MS_DEFAULT,
    ServiceConfig,
};
use crate::control::Control;
use crate::error::Error;
use crate::log::{Destination, Logger};
use crate::metrics::Metrics;
use crate::node::shared::{DialectChoice, NodeShared, Settings, random_number};
use crate::rt::cpus;
use crate::rt::sys;
use crate::rt::{self, ExecutorOptions, Runtime};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::kinds::Kinds;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::service::placement::shard_of_handle;
use crate::shard::Shard;
use crate::shard::clock::whole_milliseconds;
use crate::shard::mesh::Port;
use crate::versioned::Versioned;

/// How long a stop waits for the shards.
const STOP_TIME_MAX: Duration = Duration::from_millis(900);

/// How long a stop waits for the last log lines.
const LOG_TIME_MAX: Duration = Duration::from_millis(500);

/// Why a node did not start.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// This machine cannot run shards, or refused a thread or a descriptor.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The log file cannot be written.
    #[error("cannot log to {file}: {error}")]
    Log {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A service of the config, or its `open`, failed.
    #[error("{what}: {error}")]
    Service {
        /// Which key of the config, or which service.
        what: String,
        /// Why.
        error: Error,
    },
}

/// Sets up a node; [`NodeBuilder::start`] starts it.
pub struct NodeBuilder {
    threads: usize,
    spin: Duration,
    first_cpu: Option<usize>,
    destination: Destination,
    map: ClusterMap,
    open: Option<String>,
    services: BTreeMap<String, ServiceConfig>,
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
            destination: Destination::Stdout,
            map: ClusterMap::new(),
            open: None,
            services: BTreeMap::new(),
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
        NodeBuilder {
            threads: config.threads,
            spin: Duration::from_micros(u64::from(config.spin_us)),
            destination: config.logger.map_or(Destination::Stdout, Destination::File),
            map: map.unwrap_or_default(),
            open: config.open,
            services: config.services,
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
                clients_per_source_max: config.clients_per_source_max,
                accepts_per_second_max: config.accepts_per_second_max,
                map_file: config.cluster,
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

    /// Where log lines go.
    pub fn log_to(mut self, destination: Destination) -> NodeBuilder {
        self.destination = destination;
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

    /// How long [`Node::stop`] waits for the calls of peers that are under way; zero = not at all.
    pub fn stop_timeout(mut self, time: Duration) -> NodeBuilder {
        self.settings.stop_timeout_ms = whole_milliseconds(time);
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

    /// This node's name in the cluster map, which it tells its peers. A config's `open` is one.
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
        rt::prepare(Runtime::default())?;
        let open_files_max = sys::raise_open_files_max()?;
        let logger = Logger::start(self.destination.clone()).map_err(|error| match &self.destination {
            Destination::File(file) => StartError::Log {
                file: file.clone(),
                error,
            },
            Destination::Stdout => StartError::System(error),
        })?;
        let cpus = cpus::assign(self.threads, self.first_cpu.unwrap_or(0))?;
        let mut ports = Vec::with_capacity(self.threads);
        for _ in 0..self.threads {
            ports.push(Port::new(self.threads)?);
        }
        let shared = Arc::new(NodeShared {
            ports: ports.into(),
            names: Arc::new(Versioned::new(Default::default())),
            map: Arc::new(Versioned::new(self.map)),
            kinds: self.kinds,
            settings: self.settings,
            logger,
            metrics: Metrics::default(),
            control: Control::start()?,
            open_files_max,
            handles: AtomicU32::new(1),
            listeners: Mutex::default(),
            proxies: Mutex::default(),
            sockets: Default::default(),
            epoch: random_number(),
            shards_left: AtomicUsize::new(0),
            failures: Mutex::default(),
        });
        let mut node = Node {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for (index, cpu) in cpus.into_iter().enumerate() {
            let bell = Arc::clone(shared.ports[index].bell());
            let shared = Arc::clone(&shared);
            let options = ExecutorOptions {
                runtime: Runtime::default(),
                name: format!("shard-{index}"),
                cpu,
                spin: self.spin,
            };
            node.threads.push(rt::start(options, bell, move || async move {
                let shard = Shard::new(index, shared);
                shard.run().await;
            })?);
        }
        let file = self
            .file
            .map(|file| format!("{}: ", file.display()))
            .unwrap_or_default();
        let (services, start, open) = (self.services, self.start, self.open);
        let started = node.block_on(|caller| async move { bring_up(&caller, services, start, open).await });
        match started {
            Ok(Ok(())) => Ok(node),
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

/// Launches what the config names, and listens last, so that whoever connects finds the services there.
async fn bring_up(
    caller: &Caller,
    services: BTreeMap<String, ServiceConfig>,
    start: Option<String>,
    open: Option<String>,
) -> Result<(), (String, Error)> {
    for (name, service) in services {
        let key = format!("services.{name}");
        let ServiceConfig { kind, arguments, .. } = &service;
        let handle = match service.keyed {
            true => caller.launch_kind_keyed(kind, arguments).await,
            false => caller.launch_kind(kind, arguments).await,
        };
        let handle = handle.map_err(|error| (key.clone(), error))?;
        caller
            .cluster()
            .register(&name, Some(handle))
            .map_err(|error| (key, error))?;
    }
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

/// A running node. Dropping it stops it.
pub struct Node {
    shared: Arc<NodeShared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// A service whose only message is its start: the body of [`Node::block_on`].
struct Guest;

impl Service for Guest {
    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("this service takes no messages"))
    }
}

type GuestWork = Box<dyn FnOnce(Caller) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

impl Node {
    /// A builder with its defaults.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Runs a future as a service of the node, on the shard that its handle hashes to, and blocks this
    /// thread until it is done. Not to be called from a shard.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] when the node stops first, [`Error::Overloaded`] when the shard takes no more.
    pub fn block_on<T, W, F>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(Caller) -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let receiver = self.run(work)?;
        receiver.recv().map_err(|_| Error::ShuttingDown)
    }

    /// The same without blocking: the value comes through the receiver, which is cut off when the node
    /// stops first.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the shard takes no more.
    pub fn run<T, W, F>(&self, work: W) -> Result<mpsc::Receiver<T>, Error>
    where
        T: Send + 'static,
        W: FnOnce(Caller) -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        let handle = self.shared.next_handle();
        let owner = shard_of_handle(handle, self.shared.ports.len());
        let work: GuestWork = Box::new(move |caller| {
            Box::pin(async move {
                let value = work(caller.clone()).await;
                // Nobody listens when the receiver was dropped.
                let _ = sender.send(value);
                caller.exit();
            })
        });
        let injected = self.shared.ports[owner].inject(Box::new(move |shard| {
            let launched = launch_here::<Guest>(shard, handle, |context| {
                let caller: Caller = (**context).clone();
                context.spawn(work(caller));
                Guest
            });
            if let Err(error) = launched {
                shard.log(handle, error.to_string());
            }
        }));
        injected.map_err(|_| Error::overloaded("the shard takes no more errands"))?;
        Ok(receiver)
    }

    /// A handle with which any thread and any async runtime of this process makes calls.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.shared))
    }

    /// The node's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How many shards it has.
    pub fn threads(&self) -> usize {
        self.shared.ports.len()
    }

    /// Writes a log line in the node's own name.
    pub fn log(&self, text: &str) {
        self.shared.logger.log(0, text);
    }

    /// Stops in order: accepts no more connections, tells peers goodbye, so that they go elsewhere at once, and lets the
    /// calls finish that peers have made, as long as [`NodeBuilder::stop_timeout`] says. Then it ends services and
    /// connections and waits for the shards, a second at most. Dropping the node does only the latter.
    pub fn stop(mut self) {
        self.shared.close_listeners();
        self.take_leave();
        self.shut_down();
    }

    /// Waits until every shard has taken its leave of all peers, for as long as the settings say.
    fn take_leave(&self) {
        let time_max = Duration::from_millis(self.shared.settings.stop_timeout_ms);
        if time_max.is_zero() {
            return;
        }
        let mut leaving = 0;
        for port in &self.shared.ports {
            // A shard that takes no errand hangs, and has nothing to say.
            leaving += usize::from(port.inject(Box::new(|shard| shard.cluster.leave(shard))).is_ok());
        }
        let started = Instant::now();
        while self.shared.shards_left.load(Ordering::Acquire) < leaving {
            if started.elapsed() >= time_max {
                let milliseconds = time_max.as_millis();
                self.log(&format!(
                    "stopping although calls of peers are under way after {milliseconds} ms"
                ));
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn shut_down(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.shared.close_listeners();
        for port in &self.shared.ports {
            // A port that takes no errand belongs to a shard that hangs; the wait below is bounded.
            let _ = port.inject(Box::new(|shard| shard.stop()));
        }
        let started = Instant::now();
        while self.threads.iter().any(|thread| !thread.is_finished()) && started.elapsed() < STOP_TIME_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        for thread in self.threads.drain(..) {
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
        let counters = self.shared.metrics.to_string();
        if !counters.is_empty() {
            self.shared.logger.log(0, format!("Counters: {counters}"));
        }
        // A log that takes nothing (a full pipe that nobody reads) is not waited for a second time.
        if self.shared.logger.flush(LOG_TIME_MAX) {
            self.shared.logger.shutdown();
        }
    }

    /// The error of a shard whose executor could not be made, after a start that failed.
    fn join_failed(mut self) -> Option<StartError> {
        let mut failed = None;
        for thread in std::mem::take(&mut self.threads) {
            if !thread.is_finished() {
                self.threads.push(thread);
            } else if let Ok(Err(error)) = thread.join() {
                failed = Some(StartError::System(error));
            }
        }
        self.shut_down();
        failed
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shut_down();
    }
}
