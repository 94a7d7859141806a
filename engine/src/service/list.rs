//! The list of a node's services, for those who run it: a console.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::service::caller::Caller;
use crate::service::end::End;

/// A running service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its handle.
    pub handle: Handle,
    /// The number of its shard, from 0.
    pub shard: usize,
    /// What it was launched as: its kind and arguments, or the name of its type.
    pub what: Text,
    /// Its names: `.name` within the node, `@name` for the cluster.
    pub names: Vec<String>,
    /// Messages that wait for it, or that it answers later.
    pub messages_waiting: usize,
    /// Its running tasks.
    pub tasks: usize,
    /// How often its supervisor has restarted it.
    pub restarts: u64,
    /// How its last life ended, if it was restarted.
    pub last_end: Option<End>,
}

impl Caller {
    /// Every service of the node, in the order of their handles. Each shard reports its own at a moment of its choice.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] when the node stops meanwhile.
    pub async fn services(&self) -> Result<Vec<ServiceInfo>, Error> {
        let mut services = self.gather(described).await?;
        services.sort_by_key(|service: &ServiceInfo| service.handle);
        Ok(services)
    }

    /// Runs `collect` on every shard, and gathers what it finds, in any order.
    pub(super) async fn gather<T, C>(&self, collect: C) -> Result<Vec<T>, Error>
    where
        T: Send + 'static,
        C: Fn(&Rc<ShardCore>) -> Vec<T> + Copy + Send + 'static,
    {
        let found = Arc::new(Mutex::new(Vec::new()));
        let mut waits = Vec::new();
        for index in 0..self.shard.shards() {
            if index == self.shard.index {
                add(&found, collect(&self.shard));
                continue;
            }
            let key = self.shard.insert_waiter(None);
            let (reply_to, found) = (self.shard.waiter(key), Arc::clone(&found));
            self.shard.run_on(index, move |shard| {
                add(&found, collect(shard));
                shard.reply(reply_to, Ok(Payload::default()));
            });
            waits.push(key);
        }
        for key in waits {
            if let Outcome::Elapsed = self.shard.wait(key).await {
                return Err(Error::ShuttingDown);
            }
        }
        let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(found)
    }
}

/// The services of a shard, with their names.
fn described(shard: &Rc<ShardCore>) -> Vec<ServiceInfo> {
    let mut own = shard.services().list(shard.index);
    shard.names.read(|names| {
        for service in &mut own {
            service.names = names.names_of(service.handle);
        }
    });
    own
}

fn add<T>(found: &Mutex<Vec<T>>, mut more: Vec<T>) {
    found
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .append(&mut more);
}
