//! One call to a group.

use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::cluster::group::table::Group;
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
        }
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
