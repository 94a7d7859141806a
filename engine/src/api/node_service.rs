//! The node's own service, `@skyring`: it watches services of this node for other nodes, and hands out its spans.
//!
//! A watch from another node is a lease: the caller names it with a number of its choice and asks for its outcome again and
//! again. An answer that says only that the service still runs comes after [`ANSWER_TIME`]; a lease that nobody asks about
//! for [`LEASE_TIME_MS`] ends. So a caller that is gone, or whose connection was cut for long, leaves nothing behind, and
//! one whose connection was resumed misses nothing.
//!
//! Its messages, which any node may send: `"SPANS"`, see [`spans`]; and `"WATCH"`, the address, the key, the number of the lease, and whether it is new.
//! The answer: the code and the text of an [`End`], or [`RUNS`], or [`UNKNOWN`] for a lease that has ended.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::api::spans;
use crate::core::ShardCore;
use crate::core::handle::{Address, Handle, KEYED};
use crate::core::payload::{Kind, Payload};
use crate::core::placement::shard_of_handle;
use crate::core::request::{ReplyTo, Request};
use crate::core::spans::SpanKey;
use crate::error::Error;
use crate::service::Service;
use crate::service::context::Context;
use crate::service::end::End;
use crate::service::launch::launch_described;
use crate::service::message::{Answer, Message};
use crate::service::watch::Watch;

/// The name, without its `@`.
const NAME: &str = "skyring";

/// The address for other nodes.
pub(super) const ADDRESS: &str = "@skyring";

/// Handles grow from 1, so no other service has it.
const HANDLE: Handle = Handle(KEYED - 2);

/// How long the answer to a watch waits for the end of the service.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(20);

/// How long a watch of another node lives that its caller does not ask about, in milliseconds.
const LEASE_TIME_MS: Millis = 60_000;

/// Most watches of other nodes, of all services together.
pub const LEASES_MAX: usize = 16_384;

/// The command of a watch.
const WATCH: &str = "WATCH";

/// The service still runs.
pub(super) const RUNS: &str = "runs";

/// There is no such lease any more.
pub(super) const UNKNOWN: &str = "unknown";

/// The message of a node that stops.
const STOPPING: &str = "STOPPING";

/// The session of the timer that ends leases.
const SWEEP: u32 = 1;

/// A watch of another node.
struct Lease {
    watch: Pin<Box<Watch>>,
    end: Option<Result<End, Error>>,
    expires_at: Millis,
    waker: Option<Waker>,
}

impl Lease {
    fn poll(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<End, Error>> {
        if self.end.is_none() {
            match self.watch.as_mut().poll(context) {
                Poll::Ready(end) => self.end = Some(end),
                Poll::Pending => self.waker = Some(context.waker().clone()),
            }
        }
        match &self.end {
            Some(end) => Poll::Ready(end.clone()),
            None => Poll::Pending,
        }
    }
}

/// The node's own service.
#[derive(Default)]
pub(crate) struct NodeService {
    leases: FxHashMap<i64, Lease>,
    is_sweeping: bool,
    is_stopping: bool,
}

impl NodeService {
    /// Launches it on the shard that its handle hashes to, which must be this one.
    pub(crate) fn launch(shard: &Rc<ShardCore>) -> Result<(), Error> {
        launch_described(shard, HANDLE, NAME.into(), |_| NodeService::default())?;
        shard.node.names.update(|names| names.register(NAME, HANDLE))
    }

    /// The shard that it is on.
    pub(crate) fn shard(shards: usize) -> usize {
        shard_of_handle(HANDLE, shards)
    }

    /// Tells it, on its shard, that the node stops: the watches of other nodes end.
    pub(crate) fn note_stop(shard: &Rc<ShardCore>) {
        shard.request(Request {
            target: HANDLE,
            source: Handle::NONE,
            kind: Kind::SYSTEM,
            payload: Payload::pack(STOPPING).unwrap_or_default(),
            reply_to: ReplyTo::Nobody,
            waits: false,
            deadline: None,
            span: SpanKey::NONE,
        });
    }

    fn answer(&mut self, context: &Context<Self>, message: &Message) -> Result<Answer, Error> {
        let command = message.payload.first_text().unwrap_or_default();
        if command.eq_ignore_ascii_case(WATCH) {
            return self.watch(context, message);
        }
        if command.eq_ignore_ascii_case(spans::COMMAND) {
            let (_, what, number): (&str, &str, &str) = message.unpack()?;
            return Ok(Answer::from(spans::answer(context, what, number)));
        }
        Err(Error::remote(format!(
            "unknown command {command:?}: {WATCH} and {} are known",
            spans::COMMAND
        )))
    }

    fn watch(&mut self, context: &Context<Self>, message: &Message) -> Result<Answer, Error> {
        let (_, address, key, number, is_new): (&str, &str, i64, i64, bool) = message.unpack()?;
        if self.is_stopping {
            return Ok(Answer::from(End::NodeStopping.to_payload()));
        }
        if is_new && !self.leases.contains_key(&number) {
            if self.leases.len() >= LEASES_MAX {
                return Err(Error::remote(format!(
                    "overloaded: {LEASES_MAX} services are watched by other nodes"
                )));
            }
            let watch = context.key(key as u64).watch(Address::from(address));
            let lease = Lease {
                watch: Box::pin(watch),
                end: None,
                expires_at: 0,
                waker: None,
            };
            self.leases.insert(number, lease);
            if !std::mem::replace(&mut self.is_sweeping, true) {
                context.wake_after(Duration::from_millis(LEASE_TIME_MS), SWEEP);
            }
        }
        self.extend(number, context.shard.update_now());
        let (polling, context) = (context.clone(), context.clone());
        Ok(Answer::later(async move {
            let polled = poll_fn(|task| {
                polling.update(|service| match service.leases.get_mut(&number) {
                    Some(lease) => lease.poll(task).map(Some),
                    None => Poll::Ready(None),
                })
            });
            let ended = context.within(ANSWER_TIME, polled).await;
            let now = context.shard.update_now();
            context.update(|service| service.extend(number, now));
            match ended {
                Ok(Some(end)) => end?.to_payload(),
                Ok(None) => Payload::pack(&(UNKNOWN, "")),
                Err(_) => Payload::pack(&(RUNS, "")),
            }
        }))
    }

    fn extend(&mut self, number: i64, now: Millis) {
        if let Some(lease) = self.leases.get_mut(&number) {
            lease.expires_at = now + LEASE_TIME_MS;
        }
    }
}

impl Service for NodeService {
    const STOPS_AT_ONCE: bool = true;

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        if message.kind == Kind::SYSTEM && !message.is_call() {
            self.is_stopping = true;
            for lease in self.leases.values_mut() {
                lease.end.get_or_insert(Ok(End::NodeStopping));
                if let Some(waker) = lease.waker.take() {
                    waker.wake();
                }
            }
            return Answer::none();
        }
        self.answer(context, &message).unwrap_or_else(Answer::error)
    }

    fn answered(&mut self, context: &Context<Self>, _session: u32, _result: Result<Payload, Error>) {
        let now = context.shard.update_now();
        self.leases.retain(|_, lease| lease.expires_at > now);
        self.is_sweeping = !self.leases.is_empty();
        if self.is_sweeping {
            context.wake_after(Duration::from_millis(LEASE_TIME_MS / 2), SWEEP);
        }
    }
}
