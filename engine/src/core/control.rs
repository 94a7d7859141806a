//! The control thread: the slow, blocking work that no shard may wait for by blocking, such as looking up
//! host names and reading files. A shard's task waits for it as for anything else.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::ShardCore;
use crate::core::payload::Payload;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};

/// Most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Most jobs that wait for the control thread.
const JOBS_MAX: usize = 1_024;

type Job = Box<dyn FnOnce() + Send>;

/// The control thread's queue. The thread ends when this is dropped and its jobs are done.
pub(crate) struct Control {
    jobs: SyncSender<Job>,
}

impl Control {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Control> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_MAX);
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                for job in queue {
                    // A job that panics loses its own answer, not the thread.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        Ok(Control { jobs })
    }
}

/// Runs `work` on the control thread and waits for what it gives.
pub(crate) async fn run<T: Send + 'static>(
    shard: &Rc<ShardCore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let key = shard.insert_waiter(None);
    let place = Arc::new(Mutex::new(None));
    let (node, index) = (Arc::clone(&shard.node), shard.index);
    let job: Job = Box::new({
        let place = Arc::clone(&place);
        move || {
            let value = work();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            // A shard that takes no more jobs is stopping, and its waiters with it.
            let _ = node.injectors[index].push(Box::new(move |shard: &Rc<ShardCore>| {
                shard.complete_waiter(key, Outcome::Answer(Ok(Payload::default())));
            }));
        }
    });
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = shard.node.control.jobs.try_send(job)
    {
        shard.forget_waiter(key);
        return Err(Error::overloaded(format!(
            "{JOBS_MAX} jobs wait for the control thread"
        )));
    }
    shard.wait(key).await;
    let value = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or(Error::ShuttingDown)
}

/// Looks up a host: its addresses, at least one and at most [`ADDRESSES_MAX`], in the system's order. An
/// address needs no look-up. The error's text names the host.
pub(crate) async fn resolve(shard: &Rc<ShardCore>, host: &str, port: u16) -> Result<Vec<SocketAddr>, Text> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let look_up = move || {
        let found = (name.as_str(), port).to_socket_addrs()?;
        Ok::<Vec<SocketAddr>, std::io::Error>(found.take(ADDRESSES_MAX).collect())
    };
    let found = run(shard, look_up)
        .await
        .map_err(|error| Text::from(error.to_string()))?;
    match found {
        Ok(found) if found.is_empty() => Err(format!("host {host} has no address").into()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("host {host} cannot be looked up: {error}").into()),
    }
}
