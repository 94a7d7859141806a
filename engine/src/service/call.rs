//! A call: a future that sends its request when it is first polled.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::config::WhenDown;
use crate::core::ShardCore;
use crate::core::clock::whole_milliseconds;
use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::request::{Outgoing, Request};
use crate::core::route::Route;
use crate::core::slab::Key;
use crate::core::spans::SpanKey;
use crate::core::waiters::{Outcome, Polled};
use crate::error::{Error, Text};
use crate::service::target::Target;

enum State {
    /// Nothing was sent yet.
    Unsent(Payload),
    /// Its values could not be packed. A variant of its own, not a `Result` in `Unsent`: moving a payload inside a
    /// result was measured to be slower.
    Failed(Box<Error>),
    Waiting(Key),
    Done,
}

/// A call; await it. Dropping it cancels it: a reply that arrives later is dropped.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call {
    shard: Rc<ShardCore>,
    source: Handle,
    /// The route to another node; `None`: the service is on this node.
    route: Option<Rc<Route>>,
    address: Address,
    /// Selects the channel to another node, and the instance of a keyed service.
    key: u64,
    timeout_ms: u64,
    is_idempotent: bool,
    pub(crate) waits: bool,
    pub(crate) when_down: Option<WhenDown>,
    kind: Kind,
    /// [`SpanKey::ASKED_FOR`] until it begins, if its caller wants it traced.
    span: SpanKey,
    state: State,
}

impl Call {
    #[inline(always)]
    pub(crate) fn new(
        shard: Rc<ShardCore>,
        source: Handle,
        route: Option<Rc<Route>>,
        key: u64,
        address: Address,
        payload: Result<Payload, Error>,
    ) -> Call {
        let timeout_ms = if route.is_some() {
            shard.node.settings.call_timeout_ms
        } else {
            0
        };
        Call {
            shard,
            source,
            route,
            address,
            key,
            timeout_ms,
            is_idempotent: false,
            waits: false,
            when_down: None,
            kind: Kind::LUA,
            span: SpanKey::NONE,
            state: match payload {
                Ok(payload) => State::Unsent(payload),
                Err(error) => State::Failed(Box::new(error)),
            },
        }
    }

    /// Sets the timeout of the call, instead of the node's default (`call_timeout_ms` for other nodes, no limit on
    /// the same node). Whole milliseconds, rounded up; zero = no limit.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout_ms = whole_milliseconds(timeout);
        self
    }

    /// Marks the call as idempotent: running it twice has the effect of running it once. It is sent again when it is
    /// not known whether it ran, as after a restart of the other node, until its deadline. On the same node, where
    /// every call runs once, this has no effect.
    pub fn idempotent(mut self) -> Call {
        self.is_idempotent = true;
        self
    }

    /// Makes the call wait for space in a full buffer (the out-buffer of a channel, the inbox of a service of this
    /// node, the queue to another shard), instead of failing with `overloaded` at once. Calls wait in order, at most
    /// until their deadlines, and then fail with `overloaded` without having run. At most
    /// [`WAITING_CALLS_MAX`](crate::limits::WAITING_CALLS_MAX) calls wait for one buffer; further ones fail with
    /// `overloaded` at once.
    pub fn wait_for_room(mut self) -> Call {
        self.waits = true;
        self
    }

    /// Sets what happens to the call while the other node is [down](crate::NodeState::Down), instead of what the map or
    /// the config says (`when_down`). With [`WhenDown::Wait`] it waits for the node, in order, at most until its deadline,
    /// and within the limits of the out-buffer: past them it fails with `overloaded`. On the same node this has no
    /// effect.
    pub fn when_down(mut self, when_down: WhenDown) -> Call {
        self.when_down = Some(when_down);
        self
    }

    /// Sends it as another kind of message. Only on the same node: the cluster transfers Lua values only.
    pub fn kind(mut self, kind: Kind) -> Call {
        self.kind = kind;
        self
    }

    /// Traces the call, and those that are made to answer it; see the chapter Tracing of the book. A call that is made for a
    /// traced one is traced anyway.
    pub fn traced(mut self) -> Call {
        self.span = SpanKey::ASKED_FOR;
        self
    }

    /// The trace that the call belongs to, once it has begun; `None` if it is not traced.
    pub fn trace(&self) -> Option<u128> {
        self.shard.tag_of(self.span).map(|tag| tag.trace)
    }

    /// Sends the request. Inlined into `poll`, so that the payload is moved only once.
    #[inline(always)]
    fn begin(&mut self) -> Result<Key, Error> {
        let State::Unsent(payload) = &mut self.state else {
            return Err(Error::ShuttingDown);
        };
        let shard = &self.shard;
        if shard.stopping.get() {
            return Err(Error::ShuttingDown);
        }
        if self.span.is_some() || shard.tracing.is_active() {
            let node = self.route.as_ref().map(|route| &route.node);
            self.span = shard.begin_call(node, &self.address, payload, self.span.is_some());
        }
        let deadline = (self.timeout_ms > 0).then(|| shard.now() + self.timeout_ms);
        let Some(route) = &self.route else {
            let target = shard.resolve(&self.address, self.key)?;
            let key = shard.insert_waiter(deadline);
            let (source, kind) = (self.source, self.kind);
            shard.request(Request {
                target,
                source,
                kind,
                payload: std::mem::take(payload),
                reply_to: shard.waiter(key),
                waits: self.waits,
                deadline,
                span: self.span,
            });
            return Ok(key);
        };
        // The channel enforces the deadline of a call to another node.
        let key = shard.insert_waiter(None);
        let reply_to = shard.waiter(key);
        shard.request_by_route(
            route,
            Outgoing {
                address: &self.address,
                source: self.source,
                key: self.key,
                payload,
                reply_to,
                deadline,
                timeout_ms: self.timeout_ms,
                is_idempotent: self.is_idempotent,
                waits: self.waits,
                span: self.span,
                when_down: self.when_down,
            },
        );
        Ok(key)
    }

    #[inline]
    fn end_span(&self, error: Option<&Error>) {
        if self.span.is_some() {
            self.shard.end_span(self.span, error.map(Error::code));
        }
    }

    #[cold]
    fn finish(&mut self, outcome: Outcome) -> Poll<Result<Payload, Error>> {
        self.state = State::Done;
        let result = match outcome {
            Outcome::Answer(Ok(payload)) => Ok(payload),
            failed => Err(failed.into_error(self.timeout_ms, || Target {
                node: self.route.as_ref().map(|route| Text::clone(&route.node)),
                address: self.address.clone(),
                key: self.key,
            })),
        };
        self.end_span(result.as_ref().err());
        Poll::Ready(result)
    }
}

impl Future for Call {
    type Output = Result<Payload, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let key = match &mut this.state {
            State::Waiting(key) => *key,
            State::Unsent(_) => {
                if this.shard.fairness.count(context.waker()) {
                    return Poll::Pending;
                }
                match this.begin() {
                    Ok(key) => key,
                    Err(error) => {
                        this.state = State::Done;
                        this.end_span(Some(&error));
                        return Poll::Ready(Err(error));
                    }
                }
            }
            State::Failed(_) => match std::mem::replace(&mut this.state, State::Done) {
                State::Failed(error) => return Poll::Ready(Err(*error)),
                _ => return Poll::Pending,
            },
            State::Done => panic!("a call was polled after it had ended"),
        };
        match this.shard.poll_call(key, context.waker()) {
            Polled::Payload(payload) => {
                this.state = State::Done;
                this.end_span(None);
                Poll::Ready(Ok(payload))
            }
            Polled::Pending => {
                this.state = State::Waiting(key);
                Poll::Pending
            }
            Polled::Outcome(outcome) => this.finish(outcome),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let State::Waiting(key) = self.state {
            self.shard.remove_waiter(key);
            if self.span.is_some() {
                self.shard.end_span(self.span, Some("dropped"));
            }
        }
    }
}
