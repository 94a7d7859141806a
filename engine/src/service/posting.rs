//! Posting: messages of services that manage their own sessions, as interpreters do. They send requests without a
//! future, and get the answer as a message, through [`Service::answered`](crate::Service::answered).
//!
//! Invariants: a post whose session is not 0 is answered exactly once while its sender lives, with an error if there
//! is no answer; answers and messages from one service arrive in the order in which it sent them.

use std::time::Duration;

use crate::core::clock::whole_milliseconds;
use crate::core::handle::{Address, Handle};
use crate::core::payload::{Kind, Payload};
use crate::core::placement::shard_of_handle;
use crate::core::request::{ReplyTo, Request};
use crate::core::spans::SpanKey;
use crate::core::timers::Timer;
use crate::error::{Error, Text};
use crate::service::caller::Caller;
use crate::service::launch;
use crate::service::node_ref::NodeRef;
use crate::service::responder::Responder;

impl Caller {
    /// Sends a message to a service of this node. With a `session` other than 0 it is a call, and this service's
    /// [`answered`](crate::Service::answered) gets the answer. A message to a keyed service goes to the instance of this
    /// caller's [key](Caller::key).
    pub fn post(&self, target: Handle, kind: Kind, session: u32, payload: Payload) {
        let target = self.shard.instance(target, self.key);
        self.post_as(self.handle, target, kind, session, payload);
    }

    /// Like [`post`](Self::post), for another service of this node, which gets the answer.
    pub fn post_as(&self, source: Handle, target: Handle, kind: Kind, session: u32, payload: Payload) {
        let reply_to = self.reply_to_service(source, session);
        self.shard.request(Request {
            target: self.shard.instance(target, u64::from(source.0)),
            source,
            kind,
            span: self.span_of(None, &Address::Handle(target), &payload, reply_to),
            payload,
            reply_to,
            waits: false,
            deadline: None,
        });
    }

    /// Forwards a message together with its responder.
    pub fn forward(
        &self,
        source: Handle,
        target: Handle,
        kind: Kind,
        payload: Payload,
        responder: Responder,
    ) {
        self.shard.request(Request {
            target: self.shard.instance(target, u64::from(source.0)),
            source,
            kind,
            payload,
            span: responder.span(),
            reply_to: responder.into_reply_to(),
            waits: false,
            deadline: None,
        });
    }

    /// Sends a message to a service of another node; with a `session` other than 0 it is a call, and
    /// [`answered`](crate::Service::answered) gets the answer. `timeout`: as [`Call::timeout`](crate::Call::timeout);
    /// `None` is the node's `call_timeout_ms`.
    pub fn post_remote(
        &self,
        node: &NodeRef,
        address: Address,
        session: u32,
        payload: Payload,
        timeout: Option<Duration>,
    ) {
        node.request(
            address,
            payload,
            self.reply_to_service(self.handle, session),
            timeout,
        );
    }

    /// Answers a post of another service with `session`. A service that does not wait for it drops it.
    pub fn answer_post(&self, asker: Handle, session: u32, result: Result<Payload, Error>) {
        self.shard.reply(self.reply_to_service(asker, session), result);
    }

    /// Calls [`answered`](crate::Service::answered) with `session` and an empty payload after `duration`, never
    /// earlier; zero is after the messages that are queued now.
    pub fn wake_after(&self, duration: Duration, session: u32) {
        let milliseconds = whole_milliseconds(duration);
        if self.shard.tracing.current().is_some() {
            self.shard
                .tracing
                .note_posted(self.handle, session, SpanKey::NONE);
        }
        if milliseconds == 0 {
            let answer = Ok(Payload::default());
            self.shard.answer_service(self.handle, session, answer);
        } else {
            // The elapsed part of the current millisecond counts as one.
            let deadline = self.shard.update_now() + milliseconds + 1;
            self.shard
                .set_timer(deadline, Timer::Service(self.handle, session));
        }
    }

    /// Begins to launch a service by its kind's name and returns its handle without waiting: messages that this
    /// service sends there arrive after the launch. A failure to start is logged.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown kind.
    pub fn begin_launch_kind(&self, kind: &str, arguments: &str) -> Result<Handle, Error> {
        launch::begin_launch_kind(self, kind, arguments)
    }

    /// Gives any service of this node the local name `.name`; the leading `.` may be omitted.
    ///
    /// # Errors
    /// [`Error::Invalid`] when another service has it, or it is too long.
    pub fn name_service(&self, name: &str, handle: Handle) -> Result<(), Error> {
        let name = name.strip_prefix('.').unwrap_or(name);
        self.shard
            .node
            .names
            .update(|names| names.name_local(name, handle))
    }

    /// Ends a service of this node at once, without its [`stop`](crate::Service::stop). Its unanswered calls fail.
    pub fn end_service(&self, handle: Handle) {
        if handle == self.handle {
            self.exit();
        } else {
            self.shard.end_service(handle);
        }
    }

    /// The number of messages that wait for this service.
    pub fn messages_waiting(&self) -> usize {
        self.life.messages_waiting()
    }

    /// Whether a service may have this handle: for handles of other shards, always true.
    pub fn may_exist(&self, handle: Handle) -> bool {
        shard_of_handle(handle, self.shard.shards()) != self.shard.index || self.shard.has_service(handle)
    }

    /// The span of a message that this service sends: that of the call, if it is one and is traced, else the one that the
    /// running code belongs to. Only the answers of calls that come back here as posts end their spans.
    #[inline]
    pub(super) fn span_of(
        &self,
        node: Option<&Text>,
        address: &Address,
        payload: &Payload,
        reply_to: ReplyTo,
    ) -> SpanKey {
        match reply_to {
            ReplyTo::Service { handle, session, .. }
                if self.shard.tracing.is_active() && handle == self.handle =>
            {
                let span = self.shard.begin_call(node, address, payload, false);
                if span.is_some() {
                    self.shard.tracing.note_posted(handle, session, span);
                }
                span
            }
            _ => self.shard.tracing.current(),
        }
    }

    fn reply_to_service(&self, handle: Handle, session: u32) -> ReplyTo {
        if session == 0 {
            return ReplyTo::Nobody;
        }
        ReplyTo::Service {
            shard: shard_of_handle(handle, self.shard.shards()) as u16,
            handle,
            session,
        }
    }
}

impl Responder {
    /// The service and the session that the answer goes to, if the message was posted ([`Caller::post`]); then any
    /// service may answer with [`Caller::answer_post`]. Otherwise, returns the responder.
    ///
    /// # Errors
    /// The responder itself, when a future or another node waits for the answer.
    pub fn into_asker(self) -> Result<(Handle, u32), Responder> {
        match self.reply_to() {
            ReplyTo::Service { handle, session, .. } => {
                let _ = self.into_reply_to();
                Ok((handle, session))
            }
            _ => Err(self),
        }
    }
}
