//! Calls from other threads: a client for any thread and any async runtime of the process.
//!
//! A [`Client`] passes its calls to the shard that sends them, and the answer comes back through a waiter that wakes
//! its poller: a task of any runtime, or a thread that blocks in [`ClientCall::wait`]. No shard ever waits for a
//! client; an answer that a client does not take is dropped.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use skyring_codec::seri::Pack;

use crate::config::WhenDown;
use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::core::external::{ExternalInTransit, ExternalState, ExternalWaiter};
use crate::core::handle::{Address, Handle, KEYED};
use crate::core::node::NodeShared;
use crate::core::payload::{Kind, Payload};
use crate::core::placement::{shard_of_handle, shard_of_key};
use crate::core::request::{RemoteRequest, ReplyTo, Request};
use crate::core::router::Job;
use crate::core::spans::SpanKey;
use crate::core::trace_tag::TraceTag;
use crate::core::waiters::Outcome;
use crate::error::{Error, Text};
use crate::service::target::Target;

/// Calls services of a node, and through it services of other nodes, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    node: Arc<NodeShared>,
    /// Selects the channel to another node, and the instance of a keyed service.
    key: u64,
    options: CallOptions,
}

impl Client {
    pub(crate) fn new(node: Arc<NodeShared>) -> Client {
        // A handle as the key, so that clients spread over the channels as services do.
        let key = u64::from(node.next_handle().0);
        Client {
            node,
            key,
            options: CallOptions::default(),
        }
    }

    /// Calls a service of the node. The call begins now; await it, or block with [`ClientCall::wait`].
    ///
    /// # Errors
    /// As [`Caller::call`](crate::Caller::call), and [`Error::Overloaded`] when the shard's job queue is full.
    pub fn call<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> ClientCall {
        self.call_payload(address, Payload::pack(values))
    }

    /// Like [`call`](Self::call), with packed values.
    pub fn call_payload(
        &self,
        address: impl Into<Address>,
        payload: impl Into<Result<Payload, Error>>,
    ) -> ClientCall {
        let target = Target {
            node: None,
            address: address.into(),
            key: self.key,
        };
        self.begin(target, payload.into(), self.options)
    }

    /// The same client with another key for its calls and sends: they go to the instance of the key of a keyed
    /// service, and use its channel to another node. Without one, all clones of a client share a key.
    pub fn key(&self, key: u64) -> Client {
        Client { key, ..self.clone() }
    }

    /// The same client with another timeout for its calls, those to other nodes too; zero = no limit. Without one,
    /// calls on the node have no limit, and those to other nodes have its `call_timeout_ms`.
    pub fn timeout(&self, timeout: Duration) -> Client {
        let mut client = self.clone();
        client.options.timeout = Some(timeout);
        client
    }

    /// The same client whose calls wait for space; see [`Call::wait_for_room`](crate::Call::wait_for_room). A full
    /// job queue of a shard still fails with `overloaded`.
    pub fn wait_for_room(&self) -> Client {
        let mut client = self.clone();
        client.options.waits = true;
        client
    }

    /// The same client whose calls are traced; see [`Call::traced`](crate::Call::traced).
    pub fn traced(&self) -> Client {
        let mut client = self.clone();
        client.options.is_traced = true;
        client
    }

    /// The same client whose calls belong to the trace of a request over HTTP: `header` is the value of its W3C header
    /// `traceparent`. A header that is invalid, or says that the request is not sampled, has no effect.
    pub fn traceparent(&self, header: &str) -> Client {
        let mut client = self.clone();
        client.options.trace = TraceTag::from_header(header);
        client
    }

    /// Another node, by its name in the cluster map.
    pub fn node(&self, name: impl Into<Text>) -> ClientNode {
        ClientNode {
            client: self.clone(),
            name: name.into(),
            key: self.key,
            options: self.options,
        }
    }

    /// Sends a message to a service of the node, without a reply.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that cannot be packed, [`Error::Overloaded`] when the shard's job queue is full.
    /// A send that is lost later is counted.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?)
    }

    /// Like [`send`](Self::send), with packed values.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the shard's job queue is full.
    pub fn send_payload(&self, address: impl Into<Address>, payload: Payload) -> Result<(), Error> {
        let address = address.into();
        let (shard, key) = (self.shard_of(None, &address, self.key), self.key);
        self.inject(
            shard,
            Box::new(move |shard| {
                if let Err(error) = send_on_shard(
                    shard,
                    (&address, key),
                    payload,
                    (ReplyTo::Nobody, SpanKey::NONE),
                    (None, false),
                ) {
                    shard.refuse(ReplyTo::Nobody, error);
                }
            }),
        )
    }

    /// The shard that sends a call, so that it crosses no other shard.
    fn shard_of(&self, node: Option<&Text>, address: &Address, key: u64) -> usize {
        let shards = self.node.shards();
        let shard_of = |handle: Handle| match handle.0 & KEYED {
            0 => shard_of_handle(handle, shards),
            _ => shard_of_key(key, shards),
        };
        match (node, address) {
            // With as many channels as shards this is the shard that owns the channel.
            (Some(_), _) => shard_of_key(key, shards),
            (None, Address::Handle(handle)) => shard_of(*handle),
            (None, Address::Name(name)) => self.node.names.get().resolve(name).map_or(0, shard_of),
        }
    }

    fn inject(&self, shard: usize, job: Job) -> Result<(), Error> {
        let injector = &self.node.injectors[shard];
        injector.push(job).map_err(|_| match injector.is_closed() {
            true => Error::ShuttingDown,
            false => Error::overloaded(format!("shard {shard} has a full job queue")),
        })
    }

    fn begin(&self, target: Target, payload: Result<Payload, Error>, options: CallOptions) -> ClientCall {
        let waiter = ExternalWaiter::new();
        let default_ms = if target.node.is_some() {
            self.node.settings.call_timeout_ms
        } else {
            0
        };
        let timeout_ms = options.timeout.map_or(default_ms, whole_milliseconds);
        let begun = payload.and_then(|payload| {
            let (in_transit, target) = (ExternalInTransit::new(Arc::clone(&waiter)), target.clone());
            let shard = self.shard_of(target.node.as_ref(), &target.address, target.key);
            self.inject(
                shard,
                Box::new(move |shard| {
                    if let Some(waiter) = in_transit.arrive() {
                        begin_on_shard(shard, target, payload, (timeout_ms, options), waiter);
                    }
                }),
            )
        });
        if let Err(error) = begun {
            waiter.complete(Outcome::Answer(Err(error)));
        }
        ClientCall {
            waiter,
            target,
            timeout_ms,
        }
    }
}

/// The options of a call.
#[derive(Clone, Copy, Default)]
struct CallOptions {
    /// `None`: the node's default.
    timeout: Option<Duration>,
    is_idempotent: bool,
    /// It waits for space.
    waits: bool,
    is_traced: bool,
    /// The trace of another system that it belongs to.
    trace: Option<TraceTag>,
    /// What happens to it while its node is down.
    when_down: Option<WhenDown>,
}

/// A reference to another node, for the calls of a client.
#[derive(Clone)]
pub struct ClientNode {
    client: Client,
    name: Text,
    key: u64,
    options: CallOptions,
}

impl ClientNode {
    /// Sets the timeout of calls through this value, instead of the node's `call_timeout_ms`; zero = no limit.
    pub fn timeout(mut self, timeout: Duration) -> ClientNode {
        self.options.timeout = Some(timeout);
        self
    }

    /// Makes the calls through this value wait for space; see [`Client::wait_for_room`].
    pub fn wait_for_room(mut self) -> ClientNode {
        self.options.waits = true;
        self
    }

    /// Sets what happens to the calls through this value while the node is down; see
    /// [`Call::when_down`](crate::Call::when_down).
    pub fn when_down(mut self, when_down: WhenDown) -> ClientNode {
        self.options.when_down = Some(when_down);
        self
    }

    /// Marks the calls through this value as idempotent; see [`Call::idempotent`](crate::Call::idempotent).
    pub fn idempotent(mut self) -> ClientNode {
        self.options.is_idempotent = true;
        self
    }

    /// The same node, by the channel of this key; see [`NodeRef::key`](crate::NodeRef::key). Without one, all calls
    /// of a client and its clones use one channel.
    pub fn key(mut self, key: u64) -> ClientNode {
        self.key = key;
        self
    }

    /// Calls a service there. The call begins now.
    ///
    /// # Errors
    /// As [`NodeRef::call`](crate::NodeRef::call), and [`Error::Overloaded`] when the shard's job queue is full.
    pub fn call<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> ClientCall {
        self.call_payload(address, Payload::pack(values))
    }

    /// Like [`call`](Self::call), with packed values.
    pub fn call_payload(
        &self,
        address: impl Into<Address>,
        payload: impl Into<Result<Payload, Error>>,
    ) -> ClientCall {
        let target = Target {
            node: Some(Arc::clone(&self.name)),
            address: address.into(),
            key: self.key,
        };
        self.client.begin(target, payload.into(), self.options)
    }

    /// Sends a message to a service there, in order with the other messages of its key, best effort, without a reply.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that cannot be packed, [`Error::Overloaded`] when the shard's job queue is full.
    /// A send that is lost later is counted.
    pub fn send<T: Pack + ?Sized>(&self, address: impl Into<Address>, values: &T) -> Result<(), Error> {
        self.send_payload(address, Payload::pack(values)?)
    }

    /// Like [`send`](Self::send), with packed values.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the shard's job queue is full.
    pub fn send_payload(&self, address: impl Into<Address>, payload: Payload) -> Result<(), Error> {
        let (node, address, key) = (Arc::clone(&self.name), address.into(), self.key);
        let shard = self.client.shard_of(Some(&node), &address, key);
        self.client.inject(
            shard,
            Box::new(move |shard| {
                shard.request_remote(RemoteRequest {
                    node,
                    address,
                    source: Handle::NONE,
                    key,
                    channel: 0,
                    payload,
                    reply_to: ReplyTo::Nobody,
                    deadline: None,
                    timeout_ms: 0,
                    is_idempotent: false,
                    waits: false,
                    span: SpanKey::NONE,
                    when_down: None,
                });
            }),
        )
    }
}

/// Begins a call of another thread on its shard.
fn begin_on_shard(
    shard: &Rc<ShardCore>,
    target: Target,
    payload: Payload,
    (timeout_ms, options): (u64, CallOptions),
    waiter: Arc<ExternalWaiter>,
) {
    if shard.stopping.get() {
        return waiter.complete(Outcome::Answer(Err(Error::ShuttingDown)));
    }
    let deadline = (timeout_ms > 0).then(|| shard.now() + timeout_ms);
    let mut span = SpanKey::NONE;
    if let Some(tag) = options.trace {
        span = shard.begin_call_under(tag, target.node.as_ref(), &target.address, &payload);
        waiter.set_span(span);
    } else if options.is_traced || shard.tracing.is_active() {
        span = shard.begin_call(target.node.as_ref(), &target.address, &payload, options.is_traced);
        waiter.set_span(span);
    }
    match target.node {
        Some(node) => {
            let key = shard.insert_external_waiter(waiter, None);
            let reply_to = shard.waiter(key);
            let address = target.address;
            shard.request_remote(RemoteRequest {
                node,
                address,
                source: Handle::NONE,
                key: target.key,
                channel: 0,
                payload,
                reply_to,
                deadline,
                timeout_ms,
                is_idempotent: options.is_idempotent,
                waits: options.waits,
                span,
                when_down: options.when_down,
            });
        }
        None => {
            let key = shard.insert_external_waiter(waiter, deadline);
            let reply_to = shard.waiter(key);
            if let Err(error) = send_on_shard(
                shard,
                (&target.address, target.key),
                payload,
                (reply_to, span),
                (deadline, options.waits),
            ) {
                shard.reply(reply_to, Err(error));
            }
        }
    }
}

fn send_on_shard(
    shard: &Rc<ShardCore>,
    (address, key): (&Address, u64),
    payload: Payload,
    (reply_to, span): (ReplyTo, SpanKey),
    (deadline, waits): (Option<u64>, bool),
) -> Result<(), Error> {
    let target = shard.resolve(address, key)?;
    shard.request(Request {
        target,
        source: Handle::NONE,
        kind: Kind::LUA,
        payload,
        reply_to,
        waits,
        deadline,
        span,
    });
    Ok(())
}

/// A call from another thread: await it, or block with [`wait`](Self::wait). Dropping it drops its reply.
#[must_use = "the answer is dropped unless it is awaited"]
pub struct ClientCall {
    waiter: Arc<ExternalWaiter>,
    target: Target,
    timeout_ms: u64,
}

impl ClientCall {
    /// Blocks this thread until the answer arrives. Do not call it on a shard or in an async runtime.
    ///
    /// # Errors
    /// Those of the call.
    pub fn wait(self) -> Result<Payload, Error> {
        let mut state = self.waiter.lock();
        loop {
            match std::mem::replace(&mut *state, ExternalState::Taken) {
                ExternalState::Done(outcome) => return self.finish(outcome),
                waiting => *state = waiting,
            }
            state = self.waiter.wait(state);
        }
    }

    fn finish(&self, outcome: Outcome) -> Result<Payload, Error> {
        match outcome {
            Outcome::Answer(Ok(payload)) => Ok(payload),
            failed => Err(failed.into_error(self.timeout_ms, || self.target.clone())),
        }
    }
}

impl Future for ClientCall {
    type Output = Result<Payload, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.waiter.lock();
        match std::mem::replace(&mut *state, ExternalState::Taken) {
            ExternalState::Done(outcome) => Poll::Ready(self.finish(outcome)),
            ExternalState::Waiting(_) => {
                *state = ExternalState::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            ExternalState::Taken => panic!("a call was polled after it had ended"),
        }
    }
}
