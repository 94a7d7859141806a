//! The thread, its tasks, and their way to the node.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::core::ShardCore;
use crate::core::discovered::Discovered;
use crate::core::node::NodeShared;
use crate::log::{Level, Origin};

/// Threads for blocking work of the tasks: files, and the system's look-ups of names.
const BLOCKING_THREADS_MAX: usize = 2;

/// How long tasks may take to end when the node stops.
const STOP_TIME_MAX: Duration = Duration::from_millis(900);

/// How long to wait before a change is handed over again to a shard that takes no jobs.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What a task of the control thread does until `stop` is true.
pub(crate) struct Task {
    /// Its name in the log.
    pub(crate) name: &'static str,
    /// Makes its future, on the control thread.
    pub(crate) run: Box<dyn FnOnce(Outlet, watch::Receiver<bool>) -> TaskFuture + Send>,
}

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

impl Task {
    /// A task.
    pub(crate) fn new<F: Future<Output = ()> + 'static>(
        name: &'static str,
        run: impl FnOnce(Outlet, watch::Receiver<bool>) -> F + Send + 'static,
    ) -> Task {
        Task {
            name,
            run: Box::new(|outlet, stop| Box::pin(run(outlet, stop))),
        }
    }
}

/// A task's way to the node: the log, and the map.
#[derive(Clone)]
pub(crate) struct Outlet {
    node: Arc<NodeShared>,
    apply: fn(&Rc<ShardCore>, Discovered),
}

impl Outlet {
    /// An outlet to a node; `apply` runs on its first shard.
    pub(crate) fn new(node: Arc<NodeShared>, apply: fn(&Rc<ShardCore>, Discovered)) -> Outlet {
        Outlet { node, apply }
    }

    /// Writes a log line about the sources of the map.
    pub(crate) fn log(&self, text: impl std::fmt::Display) {
        self.node.logger.write(Origin::Discovery, Level::Info, 0, text);
    }

    /// Writes a log line about something that does not work.
    pub(crate) fn warn(&self, text: impl std::fmt::Display) {
        self.node.logger.write(Origin::Discovery, Level::Warning, 0, text);
    }

    /// Writes a log line about the node itself.
    pub(crate) fn log_node(&self, level: Level, text: impl std::fmt::Display) {
        self.node.logger.write(Origin::Node, level, 0, text);
    }

    /// Has the node's certificates read again. Blocks for as long as the files take.
    pub(crate) fn reload_certificates(&self) {
        self.node.reload_certificates();
    }

    /// Hands a change to the first shard. A shard that takes no jobs now gets it later, in order.
    pub(crate) async fn apply(&self, discovered: Discovered) {
        let apply = self.apply;
        let mut job: crate::core::router::Job = Box::new(move |shard| apply(shard, discovered));
        while let Err(refused) = self.node.injectors[0].push(job) {
            if self.node.injectors[0].is_closed() {
                return;
            }
            job = refused;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// The running control thread. Dropping it ends it.
pub(crate) struct ControlThread {
    stop: watch::Sender<bool>,
    /// Ends the tasks that run until the node has stopped.
    end: watch::Sender<bool>,
    /// The other tasks have ended.
    is_first_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlThread {
    /// Starts the thread with its tasks. Those of `last` run until the node has stopped, the others until it begins to.
    pub(crate) fn start(outlet: Outlet, tasks: Vec<Task>, last: Vec<Task>) -> io::Result<ControlThread> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("control-blocking")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let is_first_done = Arc::new(AtomicBool::new(false));
        let first_done = Arc::clone(&is_first_done);
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, async move {
                    let first = async {
                        run(outlet.clone(), tasks, stopped).await;
                        first_done.store(true, Ordering::Release);
                    };
                    tokio::join!(first, run(outlet.clone(), last, ended));
                });
                // A look-up of the system that hangs is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(ControlThread {
            stop,
            end,
            is_first_done,
            thread: Some(thread),
        })
    }

    /// Tells the tasks to end that do so when the node begins to stop, and waits until they have, for a bounded time.
    pub(crate) fn stop_first(&self) {
        self.stop.send_replace(true);
        let started = Instant::now();
        while !self.is_first_done.load(Ordering::Acquire) && started.elapsed() < STOP_TIME_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Tells all tasks to end, and waits until they have, for a bounded time.
    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.send_replace(true);
        self.end.send_replace(true);
        let started = Instant::now();
        while !thread.is_finished() && started.elapsed() < STOP_TIME_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the tasks until each has ended, or the node stops and their time is over.
async fn run(outlet: Outlet, tasks: Vec<Task>, mut stopped: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    for task in tasks {
        let future = (task.run)(outlet.clone(), stopped.clone());
        // The inner task has the panic of the future; the outer one its name.
        running.spawn_local(async move { (task.name, tokio::task::spawn_local(future).await) });
    }
    let all = async {
        while let Some(ended) = running.join_next().await {
            if let Ok((name, Err(error))) = ended
                && error.is_panic()
            {
                outlet.log_node(
                    Level::Error,
                    format!("{name} has failed and is off until the node starts again: {error}"),
                );
            }
        }
    };
    let out_of_time = async {
        // An error means that the thread's owner is gone.
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(STOP_TIME_MAX).await;
    };
    tokio::select! {
        () = all => {}
        () = out_of_time => {}
    }
}
