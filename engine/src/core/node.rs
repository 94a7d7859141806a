//! The state that all shards of a node share, for every room. The path of a message reads it without a lock.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use crate::core::finished_spans::FinishedSpans;
use crate::core::handle::{Handle, KEYED};
use crate::core::injector::Injector;
use crate::core::jobs::Jobs;
use crate::core::names::Names;
use crate::core::placement::shard_of_handle;
use crate::core::settings::Settings;
use crate::core::spans::Spans;
use crate::core::trace_state::SlowCalls;
use crate::core::versioned::Versioned;
use crate::error::Text;
use crate::log::{Level, Logger, Origin};
use crate::metrics::Metrics;
use crate::rt;

/// What runs once when the node fails.
pub(crate) type OnFailure = Box<dyn FnOnce(&str) + Send>;

/// The state that all shards share.
pub(crate) struct NodeShared {
    /// The queues from other threads to each shard.
    pub(crate) injectors: Box<[Injector]>,
    pub(crate) names: Arc<Versioned<Names>>,
    pub(crate) settings: Settings,
    pub(crate) logger: Logger,
    pub(crate) metrics: Metrics,
    /// The spans of traced calls.
    pub(crate) spans: Spans,
    /// Those that are to be exported, if the settings say where to.
    pub(crate) finished_spans: Option<FinishedSpans>,
    pub(crate) slow_calls: SlowCalls,
    pub(crate) jobs: Jobs,
    /// The limit of open files of the process.
    pub(crate) open_files_max: u64,
    handles: AtomicU32,
    /// The node has begun to stop: supervisors start nothing any more.
    pub(crate) is_stopping: AtomicBool,
    /// It listens, its first services have started, and it does not stop.
    pub(crate) is_ready: AtomicBool,
    /// It has been told to stop.
    pub(crate) is_leaving: AtomicBool,
    /// When it was started, by both clocks.
    pub(crate) started: (Instant, SystemTime),
    /// Why the node has failed, if it has.
    failure: OnceLock<Text>,
    on_failure: Mutex<Option<OnFailure>>,
    /// A random number that the process generates for the node at its start.
    pub(crate) epoch: u64,
}

/// A node's log, for threads other than shards. From [`Caller::node_log`](crate::Caller::node_log).
#[derive(Clone)]
pub struct NodeLog(pub(crate) Arc<NodeShared>);

impl NodeLog {
    /// Writes a log line of a service; [`Handle::NONE`] is the node itself.
    pub fn log(&self, source: Handle, text: impl std::fmt::Display) {
        self.0.logger.log(source.0, text);
    }
}

impl NodeShared {
    /// The shared state of a new node, which has as many shards as injectors.
    pub(crate) fn new(
        injectors: Box<[Injector]>,
        settings: Settings,
        logger: Logger,
        jobs: Jobs,
        open_files_max: u64,
    ) -> NodeShared {
        let finished_spans = settings.otlp.is_some().then(FinishedSpans::default);
        NodeShared {
            injectors,
            names: Arc::new(Versioned::new(Names::default())),
            settings,
            logger,
            metrics: Metrics::default(),
            spans: Spans::default(),
            finished_spans,
            slow_calls: SlowCalls::default(),
            jobs,
            open_files_max,
            handles: AtomicU32::new(1),
            is_stopping: AtomicBool::new(false),
            is_ready: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            started: (Instant::now(), SystemTime::now()),
            failure: OnceLock::new(),
            on_failure: Mutex::new(None),
            epoch: rt::random_number(),
        }
    }

    /// Reads the node's certificates again, if it has some, and logs what became of it. What cannot be used changes
    /// nothing. Blocks for as long as the files take.
    pub(crate) fn reload_certificates(&self) {
        let Some(tls) = self
            .settings
            .security
            .as_ref()
            .and_then(|security| security.tls())
        else {
            return;
        };
        let log = |text: String| self.logger.log(Handle::NONE.0, text);
        match tls.reload() {
            Ok(false) => {}
            Ok(true) => {
                self.metrics.tls_reloads.add(1);
                let names = tls.names().join(", ");
                log(format!(
                    "the certificate was read again, and is in force: it is for {names}"
                ));
                tls.warnings().into_iter().for_each(log);
            }
            Err(error) => {
                self.metrics.tls_reloads_refused.add(1);
                log(format!(
                    "the certificate stays as it is, because the files cannot be used: {error}"
                ));
            }
        }
    }

    /// The node has failed: what it is for does not run any more. The first cause counts.
    pub(crate) fn fail(&self, cause: &str) {
        if self.failure.set(cause.into()).is_err() {
            return;
        }
        self.logger.write(
            Origin::Node,
            Level::Error,
            Handle::NONE.0,
            format!("The node fails: {cause}"),
        );
        let on_failure = self
            .on_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(on_failure) = on_failure {
            on_failure(cause);
        }
    }

    /// Why the node has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&Text> {
        self.failure.get()
    }

    /// Sets what runs when the node fails.
    pub(crate) fn set_on_failure(&self, on_failure: OnFailure) {
        let mut stored = self.on_failure.lock().unwrap_or_else(PoisonError::into_inner);
        *stored = Some(on_failure);
    }

    /// How many shards the node has.
    pub(crate) fn shards(&self) -> usize {
        self.injectors.len()
    }

    /// A handle that no service of this process has had.
    pub(crate) fn next_handle(&self) -> Handle {
        // 2^31 launches in one process are out of reach; 0 addresses no service.
        Handle((self.handles.fetch_add(1, Ordering::Relaxed) & !KEYED).max(1))
    }

    /// A new handle that hashes to a shard. It takes as many attempts as there are shards, on average.
    pub(crate) fn next_handle_on(&self, shard: usize) -> Handle {
        loop {
            let handle = self.next_handle();
            if shard_of_handle(handle, self.shards()) == shard {
                return handle;
            }
        }
    }
}
