//! Keyed services: one instance on each shard behind one handle and one name. A message goes to the instance of its
//! key, `key % threads`.
//!
//! A keyed service has a handle with [`KEYED`](crate::core::handle::KEYED) set, which stands for all instances. Each
//! instance also has an ordinary handle, which hashes to its shard. The sender of a message replaces the first by the
//! second, so routing needs no special case.
//!
//! Invariant: instances are listed by shard, and no other instance replaces one that has ended.

use std::rc::Rc;
use std::sync::Arc;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::handle::KEYED;
use crate::core::placement::shard_of_handle;
use crate::error::Error;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::launch::{kind_work, launch_at, launch_here};

impl Caller {
    /// Launches a keyed service: an instance on each shard, and a handle that stands for all of them. Each message
    /// goes to the instance of its key, [`placement::shard_of_key`](crate::placement::shard_of_key): the key of
    /// [`key`](Self::key) or [`NodeRef::key`](crate::NodeRef::key), or else the sender's handle. Give the handle a
    /// name with [`Cluster::register`](crate::Cluster::register) or [`name_service`](Self::name_service).
    ///
    /// # Errors
    /// The error that [`Service::start`] of an instance returns; then all instances end.
    pub async fn launch_keyed<S, M>(&self, make: M) -> Result<Handle, Error>
    where
        S: Service,
        M: Fn(&Context<S>) -> S + Clone + Send + 'static,
    {
        launch_keyed(self, make).await
    }

    /// The instance of a keyed service that a key selects; any other handle as it is.
    pub fn instance(&self, handle: Handle, key: u64) -> Handle {
        self.shard.instance(handle, key)
    }

    /// Launches a keyed service by its kind's name, with arguments as text: `"keyed KIND ARGUMENTS"` in a config.
    ///
    /// # Errors
    /// As [`launch_kind`](Self::launch_kind).
    pub async fn launch_kind_keyed(&self, kind: &str, arguments: &str) -> Result<Handle, Error> {
        launch_kind_keyed(self, kind, arguments).await
    }
}

/// Launches an instance on each shard in sequence; when one fails, those before it end.
async fn launch_all<W>(caller: &Caller, mut work: impl FnMut() -> Result<W, Error>) -> Result<Handle, Error>
where
    W: FnOnce(&Rc<ShardCore>, Handle) -> Result<(), Error> + Send + 'static,
{
    let node = &caller.shard.node;
    let shards = caller.shard.shards();
    let mut instances: Vec<Handle> = Vec::with_capacity(shards);
    for shard in 0..shards {
        let handle = node.next_handle_on(shard);
        debug_assert_eq!(shard_of_handle(handle, shards), shard);
        let launched = match work() {
            Ok(work) => launch_at(caller, handle, work).await,
            Err(error) => Err(error),
        };
        if let Err(error) = launched {
            for handle in instances {
                caller.shard.end_service(handle);
            }
            return Err(error);
        }
        instances.push(handle);
    }
    let handle = Handle(node.next_handle().0 | KEYED);
    node.names
        .update(|names| names.add_keyed(handle, Arc::from(instances)))?;
    Ok(handle)
}

async fn launch_keyed<S, M>(caller: &Caller, make: M) -> Result<Handle, Error>
where
    S: Service,
    M: Fn(&Context<S>) -> S + Clone + Send + 'static,
{
    launch_all(caller, || {
        let make = make.clone();
        Ok(move |shard: &Rc<ShardCore>, handle| launch_here(shard, handle, make))
    })
    .await
}

async fn launch_kind_keyed(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    let kinds = &caller.shard.services().kinds;
    launch_all(caller, || kind_work(kinds, kind, arguments)).await
}
