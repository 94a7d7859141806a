//! Blocking work of a shard: the job thread does it, and a task awaits its result.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::ShardCore;
use crate::core::jobs::{JOBS_WAITING_MAX, Job};
use crate::core::payload::Payload;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};

/// Most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Runs `work` on the job thread and awaits its result.
pub(crate) async fn run<T: Send + 'static>(
    shard: &Rc<ShardCore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let key = shard.insert_waiter(None);
    let slot = Arc::new(Mutex::new(None));
    let (node, index) = (Arc::clone(&shard.node), shard.index);
    let job: Job = Box::new({
        let slot = Arc::clone(&slot);
        move || {
            let value = work();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            // A shard that refuses jobs is stopping, and so are its waiters.
            let _ = node.injectors[index].push(Box::new(move |shard: &Rc<ShardCore>| {
                shard.complete_waiter(key, Outcome::Answer(Ok(Payload::default())));
            }));
        }
    });
    if !shard.node.jobs.submit(job) {
        shard.remove_waiter(key);
        return Err(Error::overloaded(format!(
            "{JOBS_WAITING_MAX} jobs wait for the job thread"
        )));
    }
    shard.wait(key).await;
    let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or(Error::ShuttingDown)
}

/// Looks up the addresses of a host, at least one and at most [`ADDRESSES_MAX`], in the system's order. An address
/// needs no look-up. The error's text names the host.
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
