//! Keyed services: one instance on each shard behind one handle and one name. A message meets the instance of
//! its key, `key % threads`, and so one key always the same.
//!
//! A keyed service has a handle of its own, with [`KEYED`] set, which stands for all instances; each instance
//! has an ordinary handle beside, which hashes to its shard. Whoever sends a message replaces the one by the
//! other, so the way of a message knows nothing of this.
//!
//! Invariant: instances are listed by shard, and an instance that has ended leaves its place to nobody.

use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::context::Context;
use crate::service::handle::Handle;
use crate::service::launch::{kind_work, launch_at, launch_here};
use crate::service::placement::{shard_of_handle, shard_of_key};
use crate::shard::Shard;

/// Set in the handles of keyed services, and in no other.
pub(crate) const KEYED: u32 = 1 << 31;

impl Shard {
    /// Whom a message with that key for that handle goes to: an instance when it is a keyed service, which
    /// has none left when that comes back.
    #[inline]
    pub(crate) fn instance(&self, handle: Handle, key: u64) -> Handle {
        if handle.0 & KEYED == 0 {
            return handle;
        }
        self.instance_on(handle, shard_of_key(key, self.shards()))
    }

    /// The same for a shard, by its number.
    pub(crate) fn instance_on(&self, handle: Handle, shard: usize) -> Handle {
        self.names
            .read(|names| names.instance(handle, shard))
            .unwrap_or(handle)
    }
}

/// Makes an instance on each shard, in turn; when one fails, those before it end.
async fn launch_all<W>(caller: &Caller, mut work: impl FnMut() -> Result<W, Error>) -> Result<Handle, Error>
where
    W: FnOnce(&Rc<Shard>, Handle) -> Result<(), Error> + Send + 'static,
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
                crate::control::end_service(&caller.shard, handle);
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

pub(crate) async fn launch_keyed<S, M>(caller: &Caller, make: M) -> Result<Handle, Error>
where
    S: Service,
    M: Fn(&Context<S>) -> S + Clone + Send + 'static,
{
    launch_all(caller, || {
        let make = make.clone();
        Ok(move |shard: &Rc<Shard>, handle| launch_here(shard, handle, make))
    })
    .await
}

pub(crate) async fn launch_kind_keyed(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    launch_all(caller, || kind_work(caller, kind, arguments)).await
}
