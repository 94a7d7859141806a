//! The handling of calls that find the out-buffer full.
//!
//! Invariants: they go to the link in order of arrival, and no later request overtakes them: while they wait,
//! requests that do not choose to wait are refused. None waits past its deadline. Each is answered once, by the link
//! or here.

use std::rc::Rc;

use skyring_codec::link::LinkError;

use crate::cluster::dialling::channel::failure::Failure;
use crate::cluster::dialling::channel::state::Channel;
use crate::core::ShardCore;
use crate::core::limits::WAITING_CALLS_MAX;
use crate::core::request::{Outgoing, RemoteRequest};
use crate::error::{Error, Text};
use crate::rt;

impl Channel {
    /// Accepts a call that may wait for space, or any request while there is a backlog.
    #[cold]
    pub(super) fn request_behind_backlog(&self, shard: &Rc<ShardCore>, outgoing: Outgoing<'_>) {
        let reply_to = outgoing.reply_to;
        let waits = outgoing.waits;
        let call = RemoteRequest {
            node: Text::clone(&self.node),
            address: outgoing.address.clone(),
            source: outgoing.source,
            key: outgoing.key,
            channel: self.number,
            payload: outgoing.payload.clone(),
            reply_to,
            deadline: outgoing.deadline,
            timeout_ms: outgoing.timeout_ms,
            is_idempotent: outgoing.is_idempotent,
            waits,
            span: outgoing.span,
            when_down: outgoing.when_down,
        };
        if !self.backlog.is_active() {
            match self.offer_outlined(shard, outgoing) {
                Ok(()) => return,
                Err(LinkError::Overloaded { .. }) => {}
                Err(error) => return self.refuse(shard, reply_to, error),
            }
        }
        let waiting = self.backlog.calls.borrow().len();
        if !waits || waiting >= WAITING_CALLS_MAX {
            let what = format!("channel to {}: {waiting} calls wait for space", self.node);
            let error = Error::overloaded(what);
            self.figures.count_error(&error);
            return shard.refuse(reply_to, error);
        }
        if let Some(deadline) = call.deadline {
            self.arm(shard, deadline);
        }
        self.backlog.calls.borrow_mut().push_back(call);
        if !self.backlog.has_task.replace(true)
            && let Some(channel) = shard.cluster().channel(self.key.get())
        {
            rt::spawn(channel.drain_backlog_when_written(Rc::clone(shard)));
        }
    }

    /// Drains the backlog whenever bytes were written, until it is empty.
    async fn drain_backlog_when_written(self: Rc<Self>, shard: Rc<ShardCore>) {
        loop {
            self.drain_backlog(&shard);
            if self.backlog.calls.borrow().is_empty() {
                break;
            }
            self.connection.written.wait().await;
        }
        self.backlog.has_task.set(false);
    }

    /// Gives the link as many calls as it has space for.
    fn drain_backlog(&self, shard: &Rc<ShardCore>) {
        loop {
            let Some(mut call) = self.backlog.calls.borrow_mut().pop_front() else {
                return;
            };
            let mut payload = call.payload.clone();
            let offered = self.offer_outlined(
                shard,
                Outgoing {
                    payload: &mut payload,
                    ..call.outgoing()
                },
            );
            match offered {
                Ok(()) => {}
                Err(LinkError::Overloaded { .. }) => {
                    self.backlog.calls.borrow_mut().push_front(call);
                    return;
                }
                Err(error) => self.refuse(shard, call.reply_to, error),
            }
        }
    }

    /// Fails the calls whose deadline has passed. The reason for the wait is more useful than the timeout.
    pub(super) fn expire_backlog(&self, shard: &Rc<ShardCore>) {
        if !self.backlog.is_active() {
            return;
        }
        for call in self.backlog.take_expired(shard.now()) {
            let error = if self.is_connected() {
                let (node, timeout_ms) = (&self.node, call.timeout_ms);
                Error::overloaded(format!("channel to {node}: no space within {timeout_ms} ms"))
            } else {
                Failure::Down(&self.last_cause()).error(&self.node, false)
            };
            self.figures.count_error(&error);
            shard.refuse(call.reply_to, error);
        }
    }

    /// Fails all calls of the backlog: the channel ends.
    pub(super) fn fail_backlog(&self, shard: &Rc<ShardCore>, failure: &Failure<'_>) {
        self.fail_backlog_where(shard, failure, |_| true);
    }

    /// Fails the calls of the backlog that satisfy `condition`.
    pub(super) fn fail_backlog_where(
        &self,
        shard: &Rc<ShardCore>,
        failure: &Failure<'_>,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) {
        for call in self.backlog.take_where(condition) {
            let error = failure.error(&self.node, false);
            self.figures.count_error(&error);
            shard.refuse(call.reply_to, error);
        }
        self.connection.written.wake();
    }

    /// Routes all calls of the backlog again: the node has moved.
    pub(super) fn reroute_backlog(&self, shard: &Rc<ShardCore>) {
        for call in self.backlog.take_all() {
            shard.request_remote(call);
        }
        self.connection.written.wake();
    }
}
