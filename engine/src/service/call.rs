//! A call under way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::{Error, Text};
use crate::service::handle::{Address, Handle};
use crate::service::message::{Kind, Payload};
use crate::shard::Shard;
use crate::shard::clock::whole_milliseconds;
use crate::shard::envelope::{RemoteRequest, ReplyTo, Request};
use crate::shard::slab::Key;
use crate::shard::waiters::Outcome;

/// Whom a call goes to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `None`: a service of this node.
    pub(crate) node: Option<Text>,
    pub(crate) address: Address,
    /// What decides on the channel to another node.
    pub(crate) key: u64,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(formatter, "{node} {}", self.address),
            None => self.address.fmt(formatter),
        }
    }
}

enum State {
    /// Nothing was sent yet: a call begins when it is first polled.
    Unsent(Result<Payload, Error>),
    Waiting(Key),
    Done,
}

/// A call; await it. Dropping it gives it up: its reply, if one comes, is dropped.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call {
    shard: Rc<Shard>,
    source: Handle,
    target: Target,
    timeout_ms: u64,
    kind: Kind,
    state: State,
}

impl Call {
    pub(crate) fn new(
        shard: Rc<Shard>,
        source: Handle,
        target: Target,
        payload: Result<Payload, Error>,
    ) -> Call {
        let timeout_ms = if target.node.is_some() {
            shard.node.settings.call_timeout_ms
        } else {
            0
        };
        Call {
            shard,
            source,
            target,
            timeout_ms,
            kind: Kind::LUA,
            state: State::Unsent(payload),
        }
    }

    /// Gives the call this long, instead of the node's default (`call_timeout_ms` for other nodes, no
    /// limit on the same node). Whole milliseconds, rounded up; zero = no limit.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout_ms = whole_milliseconds(timeout);
        self
    }

    /// Sends it as another kind of message. Only on the same node: the cluster carries Lua values.
    pub fn kind(mut self, kind: Kind) -> Call {
        self.kind = kind;
        self
    }

    fn begin(&mut self, payload: Payload) -> Result<Key, Error> {
        let shard = &self.shard;
        if shard.stopping.get() {
            return Err(Error::ShuttingDown);
        }
        let deadline = (self.timeout_ms > 0).then(|| shard.now() + self.timeout_ms);
        match self.target.node.clone() {
            None => {
                let target = shard.resolve(&self.target.address)?;
                let key = shard.insert_waiter(deadline);
                let reply_to = ReplyTo::Waiter {
                    shard: shard.index as u16,
                    key,
                };
                let (source, kind) = (self.source, self.kind);
                shard.request(Request {
                    target,
                    source,
                    kind,
                    payload,
                    reply_to,
                    deadline,
                });
                Ok(key)
            }
            Some(node) => {
                // The channel keeps the deadline of a call to another node.
                let key = shard.insert_waiter(None);
                let reply_to = ReplyTo::Waiter {
                    shard: shard.index as u16,
                    key,
                };
                let (address, timeout_ms) = (self.target.address.clone(), self.timeout_ms);
                shard.request_remote(RemoteRequest {
                    node,
                    address,
                    source: self.source,
                    key: self.target.key,
                    channel: 0,
                    payload,
                    reply_to,
                    deadline,
                    timeout_ms,
                });
                Ok(key)
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Poll<Result<Payload, Error>> {
        self.state = State::Done;
        Poll::Ready(match outcome {
            Outcome::Answer(result) => result,
            Outcome::Elapsed => Err(Error::Timeout {
                target: self.target.to_string().into(),
                timeout_ms: self.timeout_ms,
            }),
        })
    }
}

impl Future for Call {
    type Output = Result<Payload, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let key = match std::mem::replace(&mut this.state, State::Done) {
            State::Waiting(key) => {
                this.state = State::Waiting(key);
                return match this.shard.poll_waiter(key, context.waker()) {
                    Some(outcome) => this.finish(outcome),
                    None => Poll::Pending,
                };
            }
            State::Unsent(Err(error)) => return Poll::Ready(Err(error)),
            State::Unsent(Ok(payload)) => {
                if this.shard.must_relax(context.waker()) {
                    this.state = State::Unsent(Ok(payload));
                    return Poll::Pending;
                }
                match this.begin(payload) {
                    Ok(key) => key,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            State::Done => panic!("a call was polled after it had ended"),
        };
        this.state = State::Waiting(key);
        match this.shard.poll_waiter(key, context.waker()) {
            Some(outcome) => this.finish(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let State::Waiting(key) = self.state {
            self.shard.forget_waiter(key);
        }
    }
}
