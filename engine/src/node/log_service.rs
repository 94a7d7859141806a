//! The service that takes the log lines, where a config names one: each line is a message of the kind
//! [`Kind::TEXT`] from the service that wrote it.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::core::ShardCore;
use crate::core::handle::{Handle, KEYED};
use crate::core::node::NodeShared;
use crate::core::payload::{Kind, Payload};
use crate::core::placement::shard_of_handle;
use crate::core::request::{ReplyTo, Request};
use crate::core::spans::SpanKey;
use crate::error::Error;
use crate::log::{End, Line, Receiver};
use crate::node::running::Node;
use crate::service::launch::{kind_work, launch_at};

/// The handle of what starts a node that has a log service, so that the services get the same handles as without one.
/// Handles grow from 1, so no service has it.
pub(super) const STARTER: Handle = Handle(KEYED - 1);

/// How long lines wait for the service before further ones are written to the standard output: its shard hangs.
const LOG_SERVICE_WAIT_MAX: Duration = Duration::from_secs(3);

/// The name of the service, as in Skynet.
const NAME: &str = "logger";

/// Passes lines to the service.
struct LogService {
    node: Weak<NodeShared>,
    handle: Handle,
    /// Set by its shard when the service is gone.
    has_ended: Arc<AtomicBool>,
    /// Lines that its shard has not taken at the last look, and since when they wait.
    waiting: Option<(Instant, Arc<Mutex<Vec<Line>>>)>,
}

/// Launches the service and hands the log to it. It gets the first handle, as in Skynet.
///
/// # Errors
/// [`Error::Invalid`] for an unknown kind, or the error with which the service does not start.
pub(super) fn start(node: &Node, shared: &Arc<NodeShared>, kind: &str, arguments: &str) -> Result<(), Error> {
    let handle = shared.next_handle();
    let (kind, arguments) = (kind.to_owned(), arguments.to_owned());
    let launched = node.run_as(STARTER, move |caller| async move {
        let work = kind_work(&caller.shard.services().kinds, &kind, &arguments)?;
        launch_at(&caller, handle, work).await?;
        let names = &caller.shard.node.names;
        names.update(|names| names.name_local(NAME, handle))
    })?;
    launched.recv().map_err(|_| Error::ShuttingDown)??;
    shared.logger.set_receiver(Box::new(LogService {
        node: Arc::downgrade(shared),
        handle,
        has_ended: Arc::default(),
        waiting: None,
    }));
    Ok(())
}

fn lock(lines: &Mutex<Vec<Line>>) -> MutexGuard<'_, Vec<Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogService {
    /// Runs a job on the shard of the service; false: it takes no job.
    fn run(&self, job: impl FnOnce(&Rc<ShardCore>) + Send + 'static) -> bool {
        let Some(node) = self.node.upgrade() else {
            return false;
        };
        let owner = shard_of_handle(self.handle, node.shards());
        let Some(injector) = node.injectors.get(owner) else {
            return false;
        };
        injector.push(Box::new(job)).is_ok()
    }
}

impl Receiver for LogService {
    fn handle(&self) -> u32 {
        self.handle.0
    }

    fn take(&mut self, lines: Vec<Line>) -> Result<(), Vec<Line>> {
        if self.end().is_some() {
            return Err(lines);
        }
        self.waiting.take_if(|(_, lines)| lock(lines).is_empty());
        if let Some((since, _)) = &self.waiting
            && since.elapsed() > LOG_SERVICE_WAIT_MAX
        {
            return Err(lines);
        }
        let (handle, has_ended) = (self.handle, Arc::clone(&self.has_ended));
        let count = lines.len();
        let lines = Arc::new(Mutex::new(lines));
        let taken = Arc::clone(&lines);
        let job = move |shard: &Rc<ShardCore>| {
            let lines = std::mem::take(&mut *lock(&taken));
            for line in lines {
                // Looked at for each line: the service may end as it handles one.
                if shard.has_service(handle) {
                    deliver(shard, handle, Handle(line.source), Kind::TEXT, line.text);
                } else {
                    // The log thread writes them itself when they come back.
                    has_ended.store(true, Ordering::Release);
                    shard.node.logger.log_bytes(line.source, &line.text);
                }
            }
        };
        if self.run(job) {
            self.waiting.get_or_insert((Instant::now(), lines));
            return Ok(());
        }
        let mut lines = lock(&lines);
        debug_assert_eq!(lines.len(), count, "a job that was refused has not run");
        Err(std::mem::take(&mut *lines))
    }

    fn reopen(&mut self) {
        let handle = self.handle;
        // A shard that takes no job hangs.
        let _ = self.run(move |shard| deliver(shard, handle, Handle::NONE, Kind::SYSTEM, Vec::new()));
    }

    fn end(&self) -> Option<End> {
        let owner = self.node.upgrade().and_then(|node| {
            let owner = shard_of_handle(self.handle, node.shards());
            Some(node.injectors.get(owner)?.is_closed())
        });
        match owner {
            Some(false) => self.has_ended.load(Ordering::Acquire).then_some(End::Alone),
            Some(true) | None => Some(End::WithNode),
        }
    }
}

fn deliver(shard: &Rc<ShardCore>, target: Handle, source: Handle, kind: Kind, text: Vec<u8>) {
    shard.request(Request {
        target,
        source,
        kind,
        payload: Payload(Bytes::from(text)),
        reply_to: ReplyTo::Nobody,
        waits: false,
        deadline: None,
        span: SpanKey::NONE,
    });
}
