//! The responder: it answers one message.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::core::ShardCore;
use crate::core::handle::Handle;
use crate::core::payload::Payload;
use crate::core::request::ReplyTo;
use crate::core::spans::SpanKey;
use crate::error::Error;

/// Answers one call, at any time: keep it in the service's state, or move it into a task. Dropped without an answer,
/// it fails the call. For a send it does nothing.
pub struct Responder {
    shard: Rc<ShardCore>,
    reply_to: ReplyTo,
    /// The service that answers.
    handle: Handle,
    /// The callee's span of the message, if it is traced.
    span: SpanKey,
}

impl Responder {
    pub(crate) fn new(shard: Rc<ShardCore>, reply_to: ReplyTo, handle: Handle, span: SpanKey) -> Responder {
        Responder {
            shard,
            reply_to,
            handle,
            span,
        }
    }

    /// The callee's span of the message.
    pub(crate) fn span(&self) -> SpanKey {
        self.span
    }

    #[inline]
    fn end_span(&self, error: Option<&Error>) {
        if self.span.is_some() {
            self.shard.end_span(self.span, error.map(Error::code));
        }
    }

    /// Answers. An error of any kind reaches the caller as [`Error::Remote`] with its text.
    pub fn answer(mut self, result: Result<Payload, Error>) {
        let reply_to = std::mem::replace(&mut self.reply_to, ReplyTo::Nobody);
        let result = result.map_err(Error::into_remote);
        self.end_span(result.as_ref().err());
        self.shard.reply(reply_to, result);
    }

    /// Where the answer goes.
    pub(crate) fn reply_to(&self) -> ReplyTo {
        self.reply_to
    }

    /// Passes the obligation to answer to the owner of the result.
    pub(crate) fn into_reply_to(mut self) -> ReplyTo {
        self.end_span(None);
        std::mem::replace(&mut self.reply_to, ReplyTo::Nobody)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.reply_to != ReplyTo::Nobody {
            let is_stopping =
                self.shard.stopping.get() || self.shard.node.is_stopping.load(Ordering::Relaxed);
            let error = if is_stopping {
                Error::ShuttingDown
            } else {
                let restarted = self.shard.services().restart_error(self.handle, true);
                restarted.unwrap_or_else(|| Error::remote("the service ended before it answered"))
            };
            self.end_span(Some(&error));
            self.shard.reply(self.reply_to, Err(error));
        }
    }
}
