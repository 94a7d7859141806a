//! Launching services.

use std::rc::Rc;
use std::sync::Arc;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::placement::shard_of_handle;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::log::Level;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::cell::ServiceCell;
use crate::service::context::Context;
use crate::service::kinds::Kinds;

impl Caller {
    /// Launches a service on the shard that its handle hashes to, and waits until it has started.
    ///
    /// # Errors
    /// The error that its [`Service::start`] returns.
    pub async fn launch<S, M>(&self, make: M) -> Result<Handle, Error>
    where
        S: Service,
        M: FnOnce(&Context<S>) -> S + Send + 'static,
    {
        launch(self, make).await
    }

    /// Launches a service by its kind's name, as configs do, with arguments as text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown kind, with the list of kinds; else as [`launch`](Self::launch).
    pub async fn launch_kind(&self, kind: &str, arguments: &str) -> Result<Handle, Error> {
        launch_kind(self, kind, arguments).await
    }
}

/// Launches a service on this shard, which must be the shard that its handle hashes to.
pub(crate) fn launch_here<S: Service>(
    shard: &Rc<ShardCore>,
    handle: Handle,
    make: impl FnOnce(&Context<S>) -> S,
) -> Result<(), Error> {
    launch_described(shard, handle, std::any::type_name::<S>().into(), make)
}

/// Like [`launch_here`], with the kind and the arguments of the service.
pub(crate) fn launch_described<S: Service>(
    shard: &Rc<ShardCore>,
    handle: Handle,
    what: Text,
    make: impl FnOnce(&Context<S>) -> S,
) -> Result<(), Error> {
    let caller = Caller {
        shard: Rc::clone(shard),
        handle,
        key: u64::from(handle.0),
        life: Rc::default(),
    };
    let cell = ServiceCell::<S>::new(caller);
    shard.services().insert(handle, what, Rc::clone(&cell) as _);
    cell.start(make)
}

/// Runs `work` on the shard of a new handle and waits for its result.
async fn launch_with(
    caller: &Caller,
    work: impl FnOnce(&Rc<ShardCore>, Handle) -> Result<(), Error> + Send + 'static,
) -> Result<Handle, Error> {
    let handle = caller.shard.node.next_handle();
    launch_at(caller, handle, work).await
}

/// Like `launch_with`, with a handle that exists already.
pub(crate) async fn launch_at(
    caller: &Caller,
    handle: Handle,
    work: impl FnOnce(&Rc<ShardCore>, Handle) -> Result<(), Error> + Send + 'static,
) -> Result<Handle, Error> {
    let shard = &caller.shard;
    let owner = shard_of_handle(handle, shard.shards());
    if owner == shard.index {
        work(shard, handle)?;
        return Ok(handle);
    }
    let key = shard.insert_waiter(None);
    let reply_to = shard.waiter(key);
    shard.run_on(owner, move |shard| {
        let result = work(shard, handle).map(|()| Payload::default());
        shard.reply(reply_to, result);
    });
    match shard.wait(key).await {
        Outcome::Answer(result) => result.map(|_| handle),
        Outcome::Elapsed => Err(Error::ShuttingDown),
    }
}

async fn launch<S, M>(caller: &Caller, make: M) -> Result<Handle, Error>
where
    S: Service,
    M: FnOnce(&Context<S>) -> S + Send + 'static,
{
    launch_with(caller, move |shard, handle| launch_here(shard, handle, make)).await
}

async fn launch_kind(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    launch_with(
        caller,
        kind_work(&caller.shard.services().kinds, kind, arguments)?,
    )
    .await
}

/// Like `launch_kind`, without waiting. The job uses the queue of the caller's messages, so these arrive after it.
pub(crate) fn begin_launch_kind(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    let work = kind_work(&caller.shard.services().kinds, kind, arguments)?;
    let shard = &caller.shard;
    let handle = shard.node.next_handle();
    let owner = shard_of_handle(handle, shard.shards());
    let begin = move |shard: &Rc<ShardCore>| {
        if let Err(error) = work(shard, handle) {
            shard.log_service(Level::Error, handle, error);
        }
    };
    shard.run_on(owner, begin);
    Ok(handle)
}

pub(crate) fn kind_work(
    kinds: &Kinds,
    kind: &str,
    arguments: &str,
) -> Result<impl FnOnce(&Rc<ShardCore>, Handle) -> Result<(), Error> + Send + use<>, Error> {
    let factory = kinds.get(kind)?;
    let (kind, arguments) = (Arc::<str>::from(kind), Arc::<str>::from(arguments));
    Ok(move |shard: &Rc<ShardCore>, handle: Handle| {
        let line = format!("LAUNCH {kind} {arguments}");
        shard.log(handle, line.trim_end());
        factory(shard, handle, &arguments)
    })
}
