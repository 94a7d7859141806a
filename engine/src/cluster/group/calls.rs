//! The calls to groups in flight: the members that each was sent to, and the choice of another member after a
//! failure.
//!
//! A call goes to another member when its error says that it has not run. A call that is marked idempotent does so
//! after any error of a node, when its member is suspect, and with a hedge when there is no answer for a while; then
//! the first answer counts.
//!
//! Invariants: a call goes to each member at most once, and is answered once; an error says that the call has not run
//! only if that holds for every member that it was sent to.

use std::rc::Rc;

use crate::cluster::group::call::GroupCall;
use crate::cluster::group::choice::Health;
use crate::cluster::group::table::{GROUP_CALLS_MAX, Group, Member};
use crate::cluster::room::ClusterShard;
use crate::core::ShardCore;
use crate::core::payload::Payload;
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::core::slab::Key;
use crate::core::timers::Timer;
use crate::error::{Error, Text};

/// Whether an error is the node's, so that the call may succeed at another node.
fn is_node_error(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::Absent { .. }
            | Error::Disabled { .. }
            | Error::Denied { .. }
            | Error::ConnectionLost { .. }
            | Error::Restarted { .. }
            | Error::ServiceRestarted { .. }
            | Error::Overloaded { .. }
            | Error::ShuttingDown
    )
}

impl ClusterShard {
    /// Sends a call to a member of a group.
    pub(in crate::cluster) fn begin_group_call(
        &self,
        shard: &Rc<ShardCore>,
        group: &Rc<Group>,
        index: usize,
        request: RemoteRequest,
    ) {
        let mut calls = self.groups.calls.borrow_mut();
        if calls.len() >= GROUP_CALLS_MAX {
            drop(calls);
            let what = format!("{GROUP_CALLS_MAX} calls to groups are in flight");
            return shard.refuse(request.reply_to, Error::overloaded(what));
        }
        let when_down = || self.when_down(shard, &group.name);
        let waits_for_members = request.when_down.unwrap_or_else(when_down).waits();
        let hedge_ms = group
            .hedge_ms
            .filter(|_| request.is_idempotent && group.members.len() > 1);
        let key = calls.insert(GroupCall {
            group: Rc::clone(group),
            address: request.address,
            source: request.source,
            key: request.key,
            payload: request.payload,
            reply_to: request.reply_to,
            deadline: request.deadline,
            timeout_ms: request.timeout_ms,
            is_idempotent: request.is_idempotent,
            waits: request.waits,
            span: request.span,
            waits_for_members,
            tried: 0,
            running: 0,
            may_have_run: None,
            hedge: None,
        });
        if let Some(hedge_ms) = hedge_ms {
            let timer = shard.set_timer(shard.now() + hedge_ms, Timer::Hedge(key));
            if let Some(call) = calls.get_mut(key) {
                call.hedge = Some(timer);
            }
        }
        drop(calls);
        self.try_member(shard, key, index);
    }

    /// Keeps a call that waits for a member pending, because all are down.
    pub(super) fn wait_for_members(&self, shard: &Rc<ShardCore>, group: &Rc<Group>, request: RemoteRequest) {
        self.add_pending(shard, request);
        if !group.is_down() {
            // One has come up while the call was refused.
            self.drain_pending_later(shard, &group.name);
        }
    }

    /// Sends a call to a member, which may answer before this returns.
    fn try_member(&self, shard: &Rc<ShardCore>, key: Key, index: usize) {
        let (member, request) = {
            let mut calls = self.groups.calls.borrow_mut();
            let Some(call) = calls.get_mut(key) else { return };
            call.tried |= 1 << index;
            call.running |= 1 << index;
            (
                Rc::clone(&call.group.members[index]),
                call.request(shard, key, index),
            )
        };
        member.in_flight.set(member.in_flight.get() + 1);
        self.send_to_member(shard, &member, request);
    }

    /// Handles the outcome of a call at a member.
    pub(crate) fn member_answered(
        &self,
        shard: &Rc<ShardCore>,
        key: Key,
        index: usize,
        result: Result<Payload, Error>,
    ) {
        let mut calls = self.groups.calls.borrow_mut();
        let Some(call) = calls.get_mut(key).filter(|call| call.running & (1 << index) != 0) else {
            return;
        };
        call.running &= !(1 << index);
        let member = &call.group.members[index];
        member.in_flight.set(member.in_flight.get().saturating_sub(1));
        if call.is_answered() {
            if call.running == 0 {
                calls.remove(key);
            }
            return;
        }
        let result = match result {
            Ok(payload) => Ok(payload),
            Err(error) => {
                let may_move = is_node_error(&error) && (call.is_idempotent || !error.may_have_run());
                let next = if may_move { call.next_member(shard) } else { None };
                if may_move && error.may_have_run() {
                    call.may_have_run = Some(error.clone());
                }
                if let Some(next) = next {
                    drop(calls);
                    shard.node.metrics.group_calls_moved.add(1);
                    return self.try_member(shard, key, next);
                }
                if may_move && call.running != 0 {
                    return;
                }
                if call.must_wait(shard, &error) {
                    let Some(call) = calls.remove(key) else { return };
                    drop(calls);
                    if let Some(hedge) = call.hedge {
                        shard.cancel_timer(hedge);
                    }
                    let group = Rc::clone(&call.group);
                    return self.wait_for_members(shard, &group, call.into_request());
                }
                // The error may say that the call has not run only if no member may have run it.
                Err(match call.may_have_run.take() {
                    Some(earlier) if !error.may_have_run() => earlier,
                    _ => error,
                })
            }
        };
        let reply_to = std::mem::replace(&mut call.reply_to, ReplyTo::Nobody);
        call.payload = Payload::default();
        let hedge = call.hedge.take();
        if call.running == 0 {
            calls.remove(key);
        }
        drop(calls);
        if let Some(hedge) = hedge {
            shard.cancel_timer(hedge);
        }
        shard.reply(reply_to, result);
    }

    /// Sends a call without an answer to a second member.
    pub(crate) fn hedge(&self, shard: &Rc<ShardCore>, key: Key) {
        let next = {
            let mut calls = self.groups.calls.borrow_mut();
            let Some(call) = calls.get_mut(key) else { return };
            call.hedge = None;
            let is_good = |index: &usize| call.group.members[*index].health.get() == Health::Good;
            // A member that is not up would not help.
            call.next_member(shard).filter(is_good)
        };
        if let Some(next) = next {
            shard.node.metrics.group_calls_hedged.add(1);
            self.try_member(shard, key, next);
        }
    }

    /// Moves calls away from a member that is suspect or down: those that were not sent, and idempotent ones without
    /// an answer.
    pub(in crate::cluster) fn move_calls_from(&self, shard: &Rc<ShardCore>, group: &Rc<Group>, index: usize) {
        let is_better = |other: &Rc<Member>| other.health.get() == Health::Good;
        if !group.members.iter().any(is_better) {
            return;
        }
        let node = group.members[index].name();
        for request in self.take_pending_group_calls(shard, node) {
            let cause = self
                .shared
                .failure(node)
                .unwrap_or_else(|| "it is suspect".into());
            shard.refuse(request.reply_to, Error::down(Text::clone(node), &cause));
        }
        let moving: Vec<(Key, usize)> = {
            let calls = self.groups.calls.borrow();
            let can_move = |call: &GroupCall| {
                Rc::ptr_eq(&call.group, group) && call.is_idempotent && call.running == 1 << index
            };
            calls
                .keyed()
                .filter(|(_, call)| can_move(call))
                .filter_map(|(key, call)| Some((key, call.next_member(shard)?)))
                .collect()
        };
        for (key, next) in moving {
            shard.node.metrics.group_calls_moved.add(1);
            self.try_member(shard, key, next);
        }
    }
}
