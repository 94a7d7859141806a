//! Dispatch of the messages to a group to one of its members.

use std::rc::Rc;

use crate::cluster::group::choice::Health;
use crate::cluster::group::nearest;
use crate::cluster::group::table::{GROUP_WAITING_MAX, Group, Member};
use crate::cluster::room::ClusterShard;
use crate::config::Policy;
use crate::core::ShardCore;
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::error::{Error, Text, is_refusal};
use crate::rt;

impl ClusterShard {
    /// Dispatches a message if it is for a group; returns it if it is for a node.
    pub(in crate::cluster) fn route_to_group(
        &self,
        shard: &Rc<ShardCore>,
        request: RemoteRequest,
    ) -> Option<RemoteRequest> {
        let Some(group) = self.groups.get(&request.node) else {
            return Some(request);
        };
        if !group.is_used.replace(true) {
            self.watch_members(shard, &group.name);
            if group.policy == Policy::Nearest {
                rt::spawn(nearest::measure(Rc::clone(shard), Text::clone(&group.name)));
            }
        }
        self.dispatch(shard, &group, request);
        None
    }

    /// Watches the members of a group; returns false if there is no group with this name.
    pub(in crate::cluster) fn watch_members(&self, shard: &Rc<ShardCore>, name: &str) -> bool {
        let Some(group) = self.groups.get(name) else {
            return false;
        };
        for member in &group.members {
            self.watch(shard, Text::clone(member.name()));
        }
        true
    }

    /// Sends a message to the member that the policy chooses, or queues it if that member is paused.
    fn dispatch(&self, shard: &Rc<ShardCore>, group: &Rc<Group>, mut request: RemoteRequest) {
        let Some(index) = group.choose(request.key, 0) else {
            return shard.refuse(request.reply_to, Error::Absent { node: request.node });
        };
        if group.is_down() && self.waits_for_down_members(shard, group, &request) {
            return self.wait_for_members(shard, group, request);
        }
        let member = &group.members[index];
        if member.health.get() == Health::Paused && group.policy.is_steady() {
            let mut waiting = group.waiting.borrow_mut();
            if waiting.len() < GROUP_WAITING_MAX {
                return waiting.push_back(request);
            }
        }
        if request.reply_to == ReplyTo::Nobody {
            request.node = Text::clone(member.name());
            return self.send_to_member(shard, member, request);
        }
        self.begin_group_call(shard, group, index, request);
    }

    /// Whether a call waits because every member is down, at least one of them for a cause that may pass.
    fn waits_for_down_members(&self, shard: &ShardCore, group: &Group, request: &RemoteRequest) -> bool {
        let when_down = || self.when_down(shard, &group.name);
        let may_pass = |member: &Rc<Member>| {
            let cause = self.down_cause(member.name());
            cause.is_some_and(|cause| !is_refusal(&cause))
        };
        request.reply_to != ReplyTo::Nobody
            && request.when_down.unwrap_or_else(when_down).waits()
            && group.members.iter().any(may_pass)
    }

    /// Sends a message to the member that it names.
    pub(super) fn send_to_member(&self, shard: &Rc<ShardCore>, member: &Member, mut request: RemoteRequest) {
        let Some(channel) = self.cached_channel(&member.route, request.key) else {
            return self.route_to_node(shard, request);
        };
        channel.request_remote(shard, &mut request);
    }
}
