//! The requests that cannot go on yet: how they are kept, what they wait for, and how they go on their way.
//!
//! They go in steps, so that whoever comes back after a while is not met by everything at once. As long as
//! any of a node's requests wait for their turn, new ones for that node go behind them; each step is twice as long
//! as the one before, so they get fewer however many come behind them, and the steps have an end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use skyring_codec::Millis;

use super::parked::{PARKED_BYTES_MAX, PARKED_REQUESTS_MAX, ParkingLot};
use super::{ClusterShard, Entry};
use crate::error::{Error, Text};
use crate::service::handle::Handle;
use crate::shard::envelope::{RemoteRequest, ReplyTo};
use crate::shard::slab::Key;
use crate::shard::{Shard, Timer};

/// Requests that have waited and go on their way at once, of each shard, in the first step; in each further one twice
/// as many.
pub const RELEASED_AT_ONCE_MAX: usize = 256;

/// The pause until the next go, in milliseconds.
const RELEASE_PAUSE_MS: Millis = 5;

/// The requests of one shard that wait.
#[derive(Default)]
pub(crate) struct Waiting {
    parked: RefCell<ParkingLot>,
    /// The nodes whose requests are on their way, as fast as they may.
    releasing: RefCell<FxHashSet<Text>>,
    /// A timer will go on with that.
    is_timed: Cell<bool>,
    /// How many steps there were.
    steps: Cell<u32>,
    /// The nodes that requests wait for and that the log has named.
    awaited: RefCell<FxHashSet<Text>>,
}

impl Waiting {
    /// Whether requests for that node wait for their turn.
    pub(super) fn is_releasing(&self, node: &str) -> bool {
        let releasing = self.releasing.borrow();
        !releasing.is_empty() && releasing.contains(node)
    }
}

/// How many requests go on their way after so many steps.
fn released_at_once(steps: u32) -> usize {
    RELEASED_AT_ONCE_MAX << steps.min(16)
}

impl ClusterShard {
    /// Keeps a request until the map names its node, the node was met, or its time is over.
    pub(super) fn park(&self, shard: &Rc<Shard>, request: RemoteRequest) {
        let mut parked = self.waiting.parked.borrow_mut();
        let mut awaited = self.waiting.awaited.borrow_mut();
        if parked.is_empty() {
            awaited.clear();
        }
        if matches!(self.entry(&request.node), Entry::Absent { .. })
            && awaited.insert(Arc::clone(&request.node))
        {
            shard.log(
                Handle::NONE,
                format!("Waiting for cluster node [{}]", request.node),
            );
        }
        let deadline = request.deadline;
        match parked.park(request) {
            Ok(key) => {
                if let Some(deadline) = deadline {
                    parked.set_timer(key, shard.set_timer(deadline, Timer::Parked(key)));
                }
            }
            Err(request) => {
                drop(parked);
                let what = format!(
                    "{PARKED_REQUESTS_MAX} requests, or {PARKED_BYTES_MAX} bytes of them, wait for their nodes"
                );
                shard.refuse(request.reply_to, Error::overloaded(what));
            }
        }
    }

    /// The time of a parked request is over.
    pub(crate) fn parked_deadline(&self, shard: &Rc<Shard>, key: Key) {
        let Some(request) = self.waiting.parked.borrow_mut().remove(key) else {
            return;
        };
        let node = request.node;
        let error = match self.entry(&node) {
            Entry::At(_) => {
                let cause = shard.node.failure(&node);
                Error::Unreachable {
                    node,
                    cause: cause.unwrap_or_else(|| "not connected in time".into()),
                }
            }
            Entry::Disabled | Entry::Absent { .. } => Error::Absent { node },
        };
        shard.refuse(request.reply_to, error);
    }

    /// Takes requests out that satisfy `condition`, the longest waiting first, `count` at the most.
    fn unpark(
        &self,
        shard: &Shard,
        count: usize,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) -> Vec<RemoteRequest> {
        let taken = self.waiting.parked.borrow_mut().take_where(count, condition);
        let unparked = taken.into_iter().map(|(request, timer)| {
            if let Some(timer) = timer {
                shard.cancel_timer(timer);
            }
            request
        });
        unparked.collect()
    }

    /// Sends the requests for a node that was met on their way.
    pub(super) fn release(&self, shard: &Rc<Shard>, node: &Text) {
        self.waiting.releasing.borrow_mut().insert(Arc::clone(node));
        self.go_on_releasing_unless_timed(shard);
    }

    fn go_on_releasing_unless_timed(&self, shard: &Rc<Shard>) {
        if !self.waiting.is_timed.get() {
            self.go_on_releasing(shard);
        }
    }

    /// Sends some of those that may go on their way. New ones that come meanwhile are among them.
    pub(crate) fn go_on_releasing(&self, shard: &Rc<Shard>) {
        self.waiting.is_timed.set(false);
        // Routes that are remembered are looked up again: whether requests wait counts.
        drop(self.peers_mut());
        let mut count = 0;
        let most = released_at_once(self.waiting.steps.get());
        while count < most {
            let released = {
                let releasing = self.waiting.releasing.borrow();
                self.unpark(shard, most - count, |request| releasing.contains(&request.node))
            };
            if released.is_empty() {
                // Only now, so that what came meanwhile has gone behind them.
                self.waiting.releasing.borrow_mut().clear();
                self.waiting.steps.set(0);
                drop(self.peers_mut());
                return;
            }
            count += released.len();
            for request in released {
                if let Some(request) = self.route_to_group(shard, request) {
                    self.route_now(shard, request);
                }
            }
        }
        self.waiting.is_timed.set(true);
        self.waiting.steps.set(self.waiting.steps.get() + 1);
        shard.set_timer(shard.now() + RELEASE_PAUSE_MS, Timer::Release);
    }

    /// Looks at what waits with a changed map: what may go goes, and nodes are met that it names now.
    pub(super) fn map_changed_for_waiting(&self, shard: &Rc<Shard>) {
        self.waiting.awaited.borrow_mut().retain(|node| {
            let Entry::At(address) = self.entry(node) else {
                return true;
            };
            shard.log(
                Handle::NONE,
                format!("Cluster node [{node}] resolved : {address}"),
            );
            false
        });
        let nodes = self.waiting.parked.borrow().nodes();
        let mut releasing = FxHashSet::default();
        for (node, until) in nodes {
            match self.entry(&node) {
                Entry::Absent { nowaiting: false } if !self.groups.has(&node) => {}
                Entry::At(_) if !self.is_met(&node) && !self.has_one_channel(shard, &node) => {
                    self.ask_to_meet(shard, node, until);
                }
                Entry::At(_) | Entry::Disabled | Entry::Absent { .. } => {
                    releasing.insert(node);
                }
            }
        }
        *self.waiting.releasing.borrow_mut() = releasing;
        self.go_on_releasing_unless_timed(shard);
    }

    fn is_met(&self, node: &str) -> bool {
        let peers = self.peers.borrow();
        peers.get(node).is_some_and(|peer| peer.channels.is_some())
    }

    /// Fails the calls that wait to meet a node, because it is down.
    pub(super) fn refuse_parked(&self, shard: &Rc<Shard>, node: &Text, cause: &Text) {
        let is_call = |request: &RemoteRequest| request.reply_to.session() != 0;
        let refused = self.unpark(shard, usize::MAX, |request| {
            request.node == *node && is_call(request)
        });
        for request in refused {
            self.refuse_down(shard, node, cause, request.reply_to);
        }
    }

    /// Takes the calls out that a group has sent to a node and that wait to meet it.
    pub(super) fn unpark_group_calls(&self, shard: &Rc<Shard>, node: &Text) -> Vec<RemoteRequest> {
        self.unpark(shard, usize::MAX, |request| {
            request.node == *node && matches!(request.reply_to, ReplyTo::Group { .. })
        })
    }

    /// Fails everything that waits, because the shard stops.
    pub(super) fn refuse_waiting(&self, shard: &Rc<Shard>) {
        for request in self.unpark(shard, usize::MAX, |_| true) {
            shard.refuse(request.reply_to, Error::ShuttingDown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::router::WAITING_CALLS_MAX;

    #[test]
    fn a_few_steps_are_enough_for_all_that_may_wait_and_as_many_behind_them() {
        let released: usize = (0..10).map(released_at_once).sum();
        assert_eq!(released_at_once(0), RELEASED_AT_ONCE_MAX);
        assert!(released > 2 * (PARKED_REQUESTS_MAX + WAITING_CALLS_MAX) - RELEASED_AT_ONCE_MAX - 1);
        assert!(released_at_once(u32::MAX) > released);
    }
}
