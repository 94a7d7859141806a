//! One call to a group.

use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::cluster::group::table::Group;
use crate::config::WhenDown;
use crate::core::ShardCore;
use crate::core::handle::{Address, Handle};
use crate::core::payload::Payload;
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::core::slab::Key;
use crate::core::spans::SpanKey;
use crate::error::{Error, Text};

/// A call to a group.
pub(in crate::cluster) struct GroupCall {
    pub(super) group: Rc<Group>,
    pub(super) address: Address,
    pub(super) source: Handle,
    pub(super) key: u64,
    pub(super) payload: Payload,
    /// `ReplyTo::Nobody` once it is answered.
    pub(super) reply_to: ReplyTo,
    pub(super) deadline: Option<Millis>,
    pub(super) timeout_ms: u64,
    pub(super) is_idempotent: bool,
    /// It waits for space at its member instead of being refused.
    pub(super) waits: bool,
    pub(super) span: SpanKey,
    /// It waits while all members are down.
    pub(super) waits_for_members: bool,
    /// The members that it was sent to, one bit each.
    pub(super) tried: u64,
    /// The members of `tried` that have not answered.
    pub(super) running: u64,
    /// The error of a member that may have run it.
    pub(super) may_have_run: Option<Error>,
    pub(super) hedge: Option<TimerKey>,
}

impl GroupCall {
    /// The request for a member.
    pub(super) fn request(&self, shard: &ShardCore, key: Key, index: usize) -> RemoteRequest {
        RemoteRequest {
            node: Text::clone(self.group.members[index].name()),
            address: self.address.clone(),
            source: self.source,
            key: self.key,
            channel: 0,
            payload: self.payload.clone(),
            reply_to: ReplyTo::Group {
                shard: shard.index as u16,
                key,
                member: index as u8,
            },
            deadline: self.deadline,
            timeout_ms: self.timeout_ms,
            is_idempotent: self.is_idempotent,
            waits: self.waits,
            span: self.span,
            // It goes to another member, and only waits when all are down.
            when_down: Some(WhenDown::Fail),
        }
    }

    /// The call as its caller made it, for the whole group.
    pub(super) fn into_request(self) -> RemoteRequest {
        RemoteRequest {
            node: Text::clone(&self.group.name),
            address: self.address,
            source: self.source,
            key: self.key,
            channel: 0,
            payload: self.payload,
            reply_to: self.reply_to,
            deadline: self.deadline,
            timeout_ms: self.timeout_ms,
            is_idempotent: self.is_idempotent,
            waits: self.waits,
            when_down: Some(WhenDown::Wait),
            span: self.span,
        }
    }

    /// Whether the call waits for a member, after this error of the last one that was left: no member has run it, and at
    /// least this one is down.
    pub(super) fn must_wait(&self, shard: &ShardCore, error: &Error) -> bool {
        self.waits_for_members
            && self.running == 0
            && self.may_have_run.is_none()
            && matches!(error, Error::Unreachable { .. })
            && self.deadline.is_none_or(|deadline| deadline > shard.now())
            && !shard.stopping.get()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.reply_to == ReplyTo::Nobody
    }

    /// The next member to try, if the call may be sent again.
    pub(super) fn next_member(&self, shard: &ShardCore) -> Option<usize> {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= shard.now());
        if is_late || self.is_answered() || shard.stopping.get() {
            return None;
        }
        self.group.choose(self.key, self.tried)
    }
}
