//! What the channel tells of its node, and what it does when its node is down: it takes no calls then, and but
//! for the first channel it waits with its next connection until the node is up.

use std::rc::Rc;

use skyring_codec::Millis;
use skyring_codec::link::HeartbeatLimits;

use super::{Channel, Loss};
use crate::cluster::detector::Evidence;
use crate::error::{Error, Text};
use crate::shard::Shard;
use crate::shard::envelope::ReplyTo;

/// How a connection is watched, by how long a node may be away before it is called down: a ping after a
/// quarter of that. A node is suspect after half of it.
pub(super) fn heartbeat_limits(down_after_ms: Millis) -> HeartbeatLimits {
    match down_after_ms {
        0 => HeartbeatLimits::OFF,
        _ => HeartbeatLimits {
            interval_ms: (down_after_ms / 4).max(1),
            silence_ms_max: down_after_ms,
        },
    }
}

impl Channel {
    /// Tells what it has seen of its node, unless it has nothing to do with that any more.
    pub(super) fn report(&self, shard: &Rc<Shard>, evidence: Evidence) {
        if !self.retired.get() {
            shard.cluster.report(shard, self, evidence);
        }
    }

    /// Has it connect, and connect again, whether there is something to send or not.
    pub(crate) fn probe(&self) {
        self.is_probe.set(true);
        self.demanded.wake();
    }

    /// Its node is down: what waits for a connection fails, and so does what comes, until the gate opens.
    pub(crate) fn close_gate(&self, shard: &Rc<Shard>, cause: &Text) {
        *self.closed.borrow_mut() = Some(Text::clone(cause));
        self.connection.link.borrow_mut().withdraw(|_| true);
        // A fault that shows up here shows up again for the reader.
        let _ = self.take_events(shard, Loss::Down(cause));
        self.lose_waiting(shard, &Loss::Down(cause));
        self.shut_down_if_done();
    }

    /// Its node may be up: calls are taken again.
    pub(crate) fn open_gate(&self) {
        if self.closed.borrow_mut().take().is_some() {
            self.hurried.wake();
        }
    }

    /// Whether it waits for the node's first channel to find the node.
    pub(super) fn waits_for_node(&self) -> bool {
        self.number != 1 && self.closed.borrow().is_some()
    }

    /// Answers a call that is not taken because the node is down; false when it is to be taken.
    #[cold]
    pub(super) fn is_refused(&self, shard: &Rc<Shard>, reply_to: ReplyTo) -> bool {
        if reply_to.session() == 0 {
            // A send waits, as far as there is room for it.
            return false;
        }
        let cause = self.closed.borrow().clone();
        if let Some(cause) = &cause {
            shard.cluster.refuse_down(shard, &self.node, cause, reply_to);
        }
        cause.is_some()
    }

    /// The peer has said goodbye: what is accepted from now on waits for another connection, and this one ends
    /// when it has brought the answers that are under way.
    pub(super) fn take_goodbye(&self, shard: &Rc<Shard>) {
        self.is_open.set(false);
        self.is_left.set(true);
        self.report(shard, Evidence::Goodbye);
        self.shut_down_if_done();
    }

    /// Whether a connection that the peer leaves has brought all that it will.
    pub(super) fn is_left_done(&self) -> bool {
        let link = self.connection.link.borrow();
        self.is_left.get() && link.outstanding() == 0 && !link.has_output()
    }

    /// The error for calls that were not sent because the node is down.
    pub(super) fn unreachable(&self, cause: &Text) -> Error {
        Error::Unreachable {
            node: Text::clone(&self.node),
            cause: Text::clone(cause),
        }
    }
}
