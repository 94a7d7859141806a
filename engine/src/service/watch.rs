//! Watches: a watch is a call that is answered when a service ends, once, with how it ended.
//!
//! Invariant: a service answers each of its watches exactly once; a watch that is dropped leaves nothing behind.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::placement::shard_of_handle;
use crate::core::request::ReplyTo;
use crate::core::slab::Key;
use crate::core::waiters::Outcome;
use crate::error::Error;
use crate::service::caller::Caller;
use crate::service::end::End;
use crate::service::life::WATCHES_MAX;

impl Caller {
    /// Watches a service of this node: resolves once, with how it ended. A name is looked up when the watch is first
    /// polled, and the watch is of the service that has it then: of a restarted one, of its present life. For a service
    /// of another node see [`NodeRef::watch`](crate::NodeRef::watch).
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the service has [`WATCHES_MAX`](crate::limits::WATCHES_MAX) watches.
    pub fn watch(&self, address: impl Into<Address>) -> Watch {
        Watch {
            shard: Rc::clone(&self.shard),
            key: self.key,
            state: State::Unsent(address.into()),
        }
    }

    /// Links this service to another one of this node: when that one has ended, in whatever way, this one ends as failed
    /// with the cause.
    pub fn end_with(&self, address: impl Into<Address>) {
        let address = address.into();
        let (watch, caller) = (self.watch(address.clone()), self.clone());
        self.spawn(async move {
            let how = match watch.await {
                Ok(end) => end.to_string(),
                Err(error) => error.to_string(),
            };
            caller.fail(format!("its linked service {address} has ended: {how}"));
        });
    }
}

enum State {
    Unsent(Address),
    Waiting { key: Key, target: Handle },
    Done,
}

/// The watch of a service; await it. From [`Caller::watch`]. Dropping it ends it.
#[must_use = "a watch does nothing until it is awaited"]
pub struct Watch {
    shard: Rc<ShardCore>,
    /// Selects the instance of a keyed service.
    key: u64,
    state: State,
}

impl Watch {
    fn begin(&self, address: &Address) -> Option<(Key, Handle)> {
        let shard = &self.shard;
        let target = shard.resolve(address, self.key).ok()?;
        let key = shard.insert_waiter(None);
        let reply_to = shard.waiter(key);
        let owner = shard_of_handle(target, shard.shards());
        shard.run_on(owner, move |shard| shard.add_watch(target, reply_to));
        Some((key, target))
    }
}

impl Future for Watch {
    type Output = Result<End, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent(address) = &self.state {
            if self.shard.stopping.get() {
                self.state = State::Done;
                return Poll::Ready(Ok(End::NodeStopping));
            }
            self.state = match self.begin(address) {
                Some((key, target)) => State::Waiting { key, target },
                None => State::Done,
            };
            if matches!(self.state, State::Done) {
                return Poll::Ready(Ok(End::NoSuchService));
            }
        }
        let State::Waiting { key, .. } = self.state else {
            panic!("a watch was polled after it had ended");
        };
        let Some(outcome) = self.shard.poll_waiter(key, context.waker()) else {
            return Poll::Pending;
        };
        self.state = State::Done;
        Poll::Ready(match outcome {
            Outcome::Answer(Ok(payload)) => End::from_payload(&payload),
            Outcome::Answer(Err(error)) => Err(error),
            Outcome::Elapsed => Err(Error::ShuttingDown),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let State::Waiting { key, target } = self.state else {
            return;
        };
        let shard = &self.shard;
        let reply_to = shard.waiter(key);
        shard.remove_waiter(key);
        if shard.stopping.get() {
            return;
        }
        let owner = shard_of_handle(target, shard.shards());
        shard.run_on(owner, move |shard| {
            if let Some(service) = shard.services().get(target) {
                service.life().remove_watch(reply_to);
            }
        });
    }
}

impl ShardCore {
    /// Adds a watch to a service of this shard; answers it at once when there is no such service.
    fn add_watch(self: &Rc<Self>, target: Handle, reply_to: ReplyTo) {
        let services = self.services();
        match services.get(target) {
            Some(service) if service.life().add_watch(reply_to) => {}
            Some(_) => self.reply(
                reply_to,
                Err(Error::overloaded(format!("{target} has {WATCHES_MAX} watches"))),
            ),
            None => {
                let end = services.end_of(target).unwrap_or(End::NoSuchService);
                self.reply(reply_to, end.to_payload());
            }
        }
    }
}
