//! The pending requests: how they wait, what they wait for, and how they drain.
//!
//! They drain in steps, so that a node that is reached again does not receive all of them at once. While any of a
//! node's requests are pending, new ones for that node queue behind them. Each step is twice as long as the one
//! before, so the queue shrinks however many requests arrive, and the drain ends.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use skyring_codec::Millis;

use crate::cluster::dialling::pending::{PENDING_BYTES_MAX, PENDING_REQUESTS_MAX};
use crate::cluster::room::{ClusterShard, Entry};
use crate::core::ShardCore;
use crate::core::request::{RemoteRequest, ReplyTo};
use crate::core::slab::Key;
use crate::core::timers::Timer;
use crate::error::{Error, Text};
use crate::log::Level;

/// Pending requests that each shard sends at once in the first step; each further step sends twice as many.
pub const DRAINED_AT_ONCE_MAX: usize = 256;

/// The pause between two steps, in milliseconds.
const DRAIN_PAUSE_MS: Millis = 5;

/// The number of requests of the next step, after `steps` steps.
fn drained_at_once(steps: u32) -> usize {
    DRAINED_AT_ONCE_MAX << steps.min(16)
}

impl ClusterShard {
    /// Adds a request to the pending ones, until the map names its node, its first handshake is done, or its deadline
    /// passes.
    pub(in crate::cluster) fn add_pending(&self, shard: &Rc<ShardCore>, request: RemoteRequest) {
        let mut queue = self.pending.queue.borrow_mut();
        let mut awaited = self.pending.awaited.borrow_mut();
        if queue.is_empty() {
            awaited.clear();
        }
        if matches!(self.entry(&request.node), Entry::Absent { .. })
            && awaited.insert(Arc::clone(&request.node))
        {
            shard.log_cluster(
                Level::Info,
                format!("Waiting for cluster node [{}]", request.node),
            );
        }
        let deadline = request.deadline;
        match queue.push(request) {
            Ok(key) => {
                if let Some(deadline) = deadline {
                    queue.set_timer(key, shard.set_timer(deadline, Timer::PendingRequest(key)));
                }
            }
            Err(request) => {
                drop(queue);
                let what = format!(
                    "{PENDING_REQUESTS_MAX} requests, or {PENDING_BYTES_MAX} bytes of them, wait for their nodes"
                );
                shard.refuse(request.reply_to, Error::overloaded(what));
            }
        }
    }

    /// Fails a pending request whose deadline has passed.
    pub(crate) fn pending_deadline(&self, shard: &Rc<ShardCore>, key: Key) {
        let Some(request) = self.pending.queue.borrow_mut().remove(key) else {
            return;
        };
        let node = request.node;
        let error = match self.entry(&node) {
            Entry::At(_) => {
                let cause = self.shared.failure(&node);
                Error::down(node, &cause.unwrap_or_else(|| "not connected in time".into()))
            }
            Entry::Disabled | Entry::Absent { .. } if self.groups.has(&node) => {
                Error::down(node, &"no member of the group is up".into())
            }
            Entry::Disabled | Entry::Absent { .. } => Error::Absent { node },
        };
        shard.refuse(request.reply_to, error);
    }

    /// Removes requests that satisfy `condition`, the oldest first, at most `count`, and cancels their timers.
    fn take_pending(
        &self,
        shard: &ShardCore,
        count: usize,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) -> Vec<RemoteRequest> {
        let taken = self.pending.queue.borrow_mut().take_where(count, condition);
        let taken = taken.into_iter().map(|(request, timer)| {
            if let Some(timer) = timer {
                shard.cancel_timer(timer);
            }
            request
        });
        taken.collect()
    }

    /// Starts to drain the requests for a node that was reached.
    pub(in crate::cluster) fn drain_pending(&self, shard: &Rc<ShardCore>, node: &Text) {
        if self.pending.is_empty() {
            return;
        }
        self.pending.draining.borrow_mut().insert(Arc::clone(node));
        self.continue_drain_unless_timed(shard);
    }

    /// The same after a pause.
    pub(in crate::cluster) fn drain_pending_later(&self, shard: &Rc<ShardCore>, node: &Text) {
        self.pending.draining.borrow_mut().insert(Text::clone(node));
        if !self.pending.is_timed.replace(true) {
            shard.set_timer(shard.now() + DRAIN_PAUSE_MS, Timer::Drain);
        }
    }

    fn continue_drain_unless_timed(&self, shard: &Rc<ShardCore>) {
        if !self.pending.is_timed.get() {
            self.continue_drain(shard);
        }
    }

    /// Sends the requests of one step, those that arrive during it included.
    pub(crate) fn continue_drain(&self, shard: &Rc<ShardCore>) {
        self.pending.is_timed.set(false);
        // Invalidates the cached routes: they depend on whether requests are pending.
        drop(self.peers_mut());
        let mut count = 0;
        let most = drained_at_once(self.pending.steps.get());
        while count < most {
            let drained = {
                let draining = self.pending.draining.borrow();
                self.take_pending(shard, most - count, |request| draining.contains(&request.node))
            };
            if drained.is_empty() {
                // Only now, so that requests that arrived during the drain queued behind the others.
                self.pending.draining.borrow_mut().clear();
                self.pending.steps.set(0);
                drop(self.peers_mut());
                return;
            }
            count += drained.len();
            for request in drained {
                if let Some(request) = self.route_to_group(shard, request) {
                    self.route_past_pending(shard, request);
                }
            }
        }
        self.pending.is_timed.set(true);
        self.pending.steps.set(self.pending.steps.get() + 1);
        shard.set_timer(shard.now() + DRAIN_PAUSE_MS, Timer::Drain);
    }

    /// Checks the pending requests against a changed map: drains those whose way is known, and starts the handshake
    /// with nodes that the map names now.
    pub(in crate::cluster) fn map_changed_for_pending(&self, shard: &Rc<ShardCore>) {
        self.pending.awaited.borrow_mut().retain(|node| {
            let Entry::At(address) = self.entry(node) else {
                return true;
            };
            shard.log_cluster(Level::Info, format!("Cluster node [{node}] resolved : {address}"));
            false
        });
        let nodes = self.pending.queue.borrow().nodes();
        let mut draining = FxHashSet::default();
        for (node, until) in nodes {
            match self.entry(&node) {
                Entry::Absent { nowaiting: false } if !self.groups.has(&node) => {}
                Entry::Absent { .. } if self.groups.get(&node).is_some_and(|group| group.is_down()) => {}
                Entry::At(_)
                    if self.known_channels(&node).is_none() && !self.has_one_channel(shard, &node) =>
                {
                    self.request_handshake(shard, node, until);
                }
                Entry::At(_) | Entry::Disabled | Entry::Absent { .. } => {
                    draining.insert(node);
                }
            }
        }
        *self.pending.draining.borrow_mut() = draining;
        self.continue_drain_unless_timed(shard);
    }

    /// Fails the pending calls to a node that is down, except those that wait for it.
    pub(in crate::cluster) fn refuse_pending(&self, shard: &Rc<ShardCore>, node: &Text, cause: &Text) {
        let refused = self.take_pending(shard, usize::MAX, |request| {
            request.node == *node && !self.waits_for_node(shard, request, cause)
        });
        for request in refused {
            self.refuse_down(shard, node, cause, request.reply_to);
        }
    }

    /// Removes and returns the pending calls that a group has sent to a node.
    pub(in crate::cluster) fn take_pending_group_calls(
        &self,
        shard: &Rc<ShardCore>,
        node: &Text,
    ) -> Vec<RemoteRequest> {
        self.take_pending(shard, usize::MAX, |request| {
            request.node == *node && matches!(request.reply_to, ReplyTo::Group { .. })
        })
    }

    /// Fails all pending requests: the shard stops.
    pub(in crate::cluster) fn refuse_all_pending(&self, shard: &Rc<ShardCore>) {
        for request in self.take_pending(shard, usize::MAX, |_| true) {
            shard.refuse(request.reply_to, Error::ShuttingDown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::WAITING_CALLS_MAX;

    #[test]
    fn ten_steps_drain_all_that_may_be_pending_and_as_many_behind_them() {
        let drained: usize = (0..10).map(drained_at_once).sum();
        assert_eq!(drained_at_once(0), DRAINED_AT_ONCE_MAX);
        assert!(drained > 2 * (PENDING_REQUESTS_MAX + WAITING_CALLS_MAX) - DRAINED_AT_ONCE_MAX - 1);
        assert!(drained_at_once(u32::MAX) > drained);
    }
}
