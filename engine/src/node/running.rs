//! A running node: work from other threads, and its stop.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::api::node_service::NodeService;
use crate::client::Client;
use crate::cluster::ClusterShared;
use crate::config::Runtime;
use crate::control::ControlThread;
use crate::core::handle::Handle;
use crate::core::node::NodeShared;
use crate::core::placement::shard_of_handle;
use crate::error::{Error, Text};
use crate::log::{Level, Origin};
use crate::metrics::Metrics;
use crate::node::error::StartError;
use crate::rt;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::launch::launch_here;
use crate::service::message::{Answer, Message};
use crate::shard::Parts;

/// How long a stop waits for the shards.
const STOP_TIME_MAX: Duration = Duration::from_millis(900);

/// How long a stop waits for its services beyond the time that they have.
const HOOKS_TIME_MAX: Duration = Duration::from_millis(300);

/// How long a stop waits for the last log lines.
const LOG_TIME_MAX: Duration = Duration::from_millis(500);

/// A running node. Dropping it stops it.
pub struct Node {
    shared: Arc<NodeShared>,
    cluster: Arc<ClusterShared>,
    pub(super) threads: Vec<JoinHandle<io::Result<()>>>,
    /// The control thread, if a setting needs it.
    pub(super) control: Option<ControlThread>,
}

/// A service whose only message is its start: the body of [`Node::block_on`].
struct BlockOn;

impl Service for BlockOn {
    const STOPS_AT_ONCE: bool = true;

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::error(Error::remote("this service takes no messages"))
    }
}

type BlockOnWork = Box<dyn FnOnce(Caller) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

impl Node {
    /// A node whose shards are to be started.
    pub(super) fn new(parts: &Parts) -> Node {
        Node {
            shared: Arc::clone(&parts.node),
            cluster: Arc::clone(&parts.cluster),
            threads: Vec::new(),
            control: None,
        }
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
        self.run_as(self.shared.next_handle(), work)
    }

    /// The same with a handle that no service has.
    pub(super) fn run_as<T, W, F>(&self, handle: Handle, work: W) -> Result<mpsc::Receiver<T>, Error>
    where
        T: Send + 'static,
        W: FnOnce(Caller) -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        let owner = shard_of_handle(handle, self.shared.shards());
        let work: BlockOnWork = Box::new(move |caller| {
            Box::pin(async move {
                let value = work(caller.clone()).await;
                // Nobody listens when the receiver was dropped.
                let _ = sender.send(value);
                caller.exit();
            })
        });
        let injected = self.shared.injectors[owner].push(Box::new(move |shard| {
            let launched = launch_here::<BlockOn>(shard, handle, |context| {
                let caller: Caller = (**context).clone();
                context.spawn(work(caller));
                BlockOn
            });
            if let Err(error) = launched {
                shard.log(handle, error.to_string());
            }
        }));
        injected.map_err(|_| Error::overloaded("the shard takes no more jobs"))?;
        Ok(receiver)
    }

    /// Whether a runtime can run shards here. The error's text says what to do.
    ///
    /// # Errors
    /// The kernel's, and [`io::ErrorKind::Unsupported`] for a runtime that is not built in or a kernel that is too old.
    pub fn check_runtime(runtime: Runtime) -> io::Result<()> {
        rt::prepare(rt::Runtime::select(runtime)?)
    }

    /// The shards that take no job within this time: they hang, or have no processor. Not to be called from a shard.
    pub fn find_stuck_shards(&self, time_max: Duration) -> Vec<usize> {
        let (sender, answers) = mpsc::channel();
        for (index, injector) in self.shared.injectors.iter().enumerate() {
            let sender = sender.clone();
            // Nobody listens when the time was over first. A shard that takes no job does not answer.
            let _ = injector.push(Box::new(move |_| {
                let _ = sender.send(index);
            }));
        }
        drop(sender);
        let until = Instant::now() + time_max;
        let mut stuck: Vec<usize> = (0..self.threads()).collect();
        while let Ok(index) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            stuck.retain(|shard| *shard != index);
        }
        stuck
    }

    /// A handle with which any thread and any async runtime of this process makes calls.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.shared))
    }

    /// Why the node has failed, if it has: the supervisor of its services, or another one that escalates to the node, has
    /// given up. See [`NodeBuilder::on_failure`](crate::NodeBuilder::on_failure).
    pub fn failure(&self) -> Option<Text> {
        self.shared.failure().cloned()
    }

    /// The node's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How many shards it has.
    pub fn threads(&self) -> usize {
        self.shared.shards()
    }

    /// Opens the log file again by its name, after it was moved away. A log service is told by a message of the kind
    /// [`Kind::SYSTEM`](crate::Kind::SYSTEM). Has no effect on the standard output.
    pub fn reopen_log(&self) {
        self.shared.logger.reopen();
    }

    /// Reads the node's certificates again, for connections that begin from now on; the log says what became of it. Blocks
    /// for as long as the files take. Changed files are read without this too, within a second.
    pub fn reload_certificates(&self) {
        self.shared.reload_certificates();
    }

    /// Writes a log line in the node's own name.
    pub fn log(&self, text: &str) {
        self.shared.logger.log(0, text);
    }

    /// Stops in order: accepts no more connections, sends its peers a goodbye, so that they call other nodes at once,
    /// and lets the calls finish that peers have made, as long as
    /// [`NodeBuilder::stop_timeout`](crate::NodeBuilder::stop_timeout) says. Then it stops the services, one after the
    /// other, those first that were launched last, again for as long as that says. Then it ends services and connections
    /// and waits for the shards, a second at most. Dropping the node does only the latter.
    pub fn stop(mut self) {
        // First, so that the watches of other nodes end with this cause.
        let own = NodeService::shard(self.shared.shards());
        let _ = self.shared.injectors[own].push(Box::new(NodeService::note_stop));
        self.shared.is_ready.store(false, Ordering::Release);
        self.shared.is_leaving.store(true, Ordering::Release);
        if let Some(control) = &self.control {
            control.stop_first();
        }
        self.cluster.close_listeners();
        self.drain();
        self.stop_services();
        self.shut_down();
    }

    /// Waits until every shard has drained: its peers know, and have their answers; for as long as the settings say.
    fn drain(&self) {
        let time_max = Duration::from_millis(self.shared.settings.stop_timeout_ms);
        if time_max.is_zero() {
            return;
        }
        let mut draining = 0;
        for injector in &self.shared.injectors {
            // A shard that takes no job hangs.
            draining += usize::from(
                injector
                    .push(Box::new(|shard| shard.cluster().drain(shard)))
                    .is_ok(),
            );
        }
        let started = Instant::now();
        while self.cluster.shards_drained.load(Ordering::Acquire) < draining {
            if started.elapsed() >= time_max {
                let milliseconds = time_max.as_millis();
                self.shared.logger.write(
                    Origin::Node,
                    Level::Warning,
                    0,
                    format!("stopping although calls of peers are under way after {milliseconds} ms"),
                );
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Launches the node's own service.
    pub(super) fn launch_own_service(&self) -> Result<(), Error> {
        let (sender, launched) = mpsc::sync_channel(1);
        let own = NodeService::shard(self.shared.shards());
        let pushed = self.shared.injectors[own].push(Box::new(move |shard| {
            let _ = sender.send(NodeService::launch(shard));
        }));
        pushed.map_err(|_| Error::ShuttingDown)?;
        launched.recv().map_err(|_| Error::ShuttingDown)?
    }

    /// Runs what services do before they end.
    fn stop_services(&self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        let time_max = Duration::from_millis(self.shared.settings.stop_timeout_ms);
        let stopped = self.run(move |caller| async move { caller.stop_services(time_max).await });
        // A shard that takes no job hangs, and one that answers too late does, too.
        if let Ok(stopped) = stopped {
            let _ = stopped.recv_timeout(time_max + HOOKS_TIME_MAX);
        }
    }

    fn shut_down(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.control = None;
        self.cluster.close_listeners();
        for injector in &self.shared.injectors {
            // A shard that takes no job hangs; the wait below is bounded.
            let _ = injector.push(Box::new(|shard| shard.stop()));
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
    pub(super) fn join_failed(mut self) -> Option<StartError> {
        let started = Instant::now();
        while !self.threads.iter().any(JoinHandle::is_finished) && started.elapsed() < STOP_TIME_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
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
