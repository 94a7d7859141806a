//! How services come to be.

use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::cell::ServiceCell;
use crate::service::context::Context;
use crate::service::handle::Handle;
use crate::service::message::Payload;
use crate::service::placement::shard_of_handle;
use crate::shard::Shard;
use crate::shard::envelope::{Envelope, Errand, ReplyTo};
use crate::shard::waiters::Outcome;

/// Makes a service on this shard, which must be the one that its handle hashes to.
pub(crate) fn launch_here<S: Service>(
    shard: &Rc<Shard>,
    handle: Handle,
    make: impl FnOnce(&Context<S>) -> S,
) -> Result<(), Error> {
    let caller = Caller {
        shard: Rc::clone(shard),
        handle,
        key: u64::from(handle.0),
        life: Rc::default(),
    };
    let cell = ServiceCell::<S>::new(caller);
    shard.insert_service(handle, Rc::clone(&cell) as _);
    cell.start(make)
}

/// Runs `work` on the shard of a new handle and waits for its answer.
async fn launch_with(
    caller: &Caller,
    work: impl FnOnce(&Rc<Shard>, Handle) -> Result<(), Error> + Send + 'static,
) -> Result<Handle, Error> {
    let handle = caller.shard.node.next_handle();
    launch_at(caller, handle, work).await
}

/// The same with a handle that was drawn for it.
pub(crate) async fn launch_at(
    caller: &Caller,
    handle: Handle,
    work: impl FnOnce(&Rc<Shard>, Handle) -> Result<(), Error> + Send + 'static,
) -> Result<Handle, Error> {
    let shard = &caller.shard;
    let owner = shard_of_handle(handle, shard.shards());
    if owner == shard.index {
        work(shard, handle)?;
        return Ok(handle);
    }
    let key = shard.insert_waiter(None);
    let reply_to = ReplyTo::Waiter {
        shard: shard.index as u16,
        key,
    };
    let errand: Errand = Box::new(move |shard: &Rc<Shard>| {
        let result = work(shard, handle).map(|()| Payload::default());
        shard.reply(reply_to, result);
    });
    // Errands are never refused; see `stage`.
    let _ = shard.stage(owner, Envelope::Errand(errand));
    match std::future::poll_fn(|context| match shard.poll_waiter(key, context.waker()) {
        Some(outcome) => std::task::Poll::Ready(outcome),
        None => std::task::Poll::Pending,
    })
    .await
    {
        Outcome::Answer(result) => result.map(|_| handle),
        Outcome::Elapsed => Err(Error::ShuttingDown),
    }
}

pub(crate) async fn launch<S, M>(caller: &Caller, make: M) -> Result<Handle, Error>
where
    S: Service,
    M: FnOnce(&Context<S>) -> S + Send + 'static,
{
    launch_with(caller, move |shard, handle| launch_here(shard, handle, make)).await
}

pub(crate) async fn launch_kind(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    launch_with(caller, kind_work(caller, kind, arguments)?).await
}

/// Begins the same without waiting. The errand goes the way of the caller's messages, so these come after it.
pub(crate) fn begin_launch_kind(caller: &Caller, kind: &str, arguments: &str) -> Result<Handle, Error> {
    let work = kind_work(caller, kind, arguments)?;
    let shard = &caller.shard;
    let handle = shard.node.next_handle();
    let owner = shard_of_handle(handle, shard.shards());
    let begin = move |shard: &Rc<Shard>| {
        if let Err(error) = work(shard, handle) {
            shard.log(handle, error);
        }
    };
    if owner == shard.index {
        begin(shard);
    } else {
        // Errands are never refused; see `stage`.
        let _ = shard.stage(owner, Envelope::Errand(Box::new(begin)));
    }
    Ok(handle)
}

pub(crate) fn kind_work(
    caller: &Caller,
    kind: &str,
    arguments: &str,
) -> Result<impl FnOnce(&Rc<Shard>, Handle) -> Result<(), Error> + Send + 'static, Error> {
    let factory = caller.shard.node.kinds.get(kind)?;
    let (kind, arguments) = (Arc::<str>::from(kind), Arc::<str>::from(arguments));
    Ok(move |shard: &Rc<Shard>, handle: Handle| {
        let line = format!("LAUNCH {kind} {arguments}");
        shard.log(handle, line.trim_end());
        factory(shard, handle, &arguments)
    })
}
