//! What the channel tells of its node, and what it does when its node is down: it takes no calls then, and but
//! for the first channel it waits with its next connection until the node is up.

use std::rc::Rc;

use crate::cluster::dialling::channel::failure::Failure;
use crate::cluster::dialling::channel::state::{Channel, Phase, Purpose};
use crate::cluster::membership::detector::Evidence;
use crate::core::ShardCore;
use crate::core::request::ReplyTo;
use crate::error::Text;

impl Channel {
    /// Tells what it has seen of its node, unless it has nothing to do with that any more.
    pub(super) fn report(&self, shard: &Rc<ShardCore>, evidence: Evidence) {
        if !self.is_retired() {
            shard.cluster().report(shard, self, evidence);
        }
    }

    /// Has it connect, and connect again, whether there is something to send or not.
    pub(in crate::cluster) fn probe(&self) {
        {
            let mut state = self.state.borrow_mut();
            if state.purpose == Purpose::OnDemand {
                state.purpose = Purpose::Probe;
            }
        }
        self.demanded.wake();
    }

    /// Its node is down: what waits for a connection fails, and so does what comes, until it may be up.
    pub(in crate::cluster) fn mark_down(&self, shard: &Rc<ShardCore>, cause: &Text) {
        self.state.borrow_mut().down_cause = Some(Text::clone(cause));
        self.connection.link.borrow_mut().withdraw(|_| true);
        // A fault that shows up here shows up again for the reader.
        let _ = self.take_events(shard, Failure::Down(cause));
        self.fail_backlog(shard, &Failure::Down(cause));
        self.shut_down_if_done();
    }

    /// Its node may be up: calls are taken again.
    pub(in crate::cluster) fn mark_up(&self) {
        let was_down = self.state.borrow_mut().down_cause.take().is_some();
        if was_down {
            self.hurried.wake();
        }
    }

    /// Whether it waits for the node's first channel to find the node.
    pub(super) fn waits_for_node(&self) -> bool {
        self.number != 1 && self.is_down()
    }

    /// Refuses a call if the node is down; false when it is to be taken.
    #[cold]
    pub(super) fn refuse_if_down(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo) -> bool {
        if reply_to.session() == 0 {
            // A send waits, as far as there is room for it.
            return false;
        }
        let cause = self.state.borrow().down_cause.clone();
        if let Some(cause) = &cause {
            shard.cluster().refuse_down(shard, &self.node, cause, reply_to);
        }
        cause.is_some()
    }

    /// The peer has said goodbye: what is accepted from now on waits for another connection, and this one ends
    /// when it has brought the answers that are under way.
    pub(super) fn take_goodbye(&self, shard: &Rc<ShardCore>) {
        self.phase.set(Phase::Draining);
        self.report(shard, Evidence::Goodbye);
        self.shut_down_if_done();
    }

    /// Whether a connection that the peer leaves has brought all that it will.
    pub(super) fn is_drained(&self) -> bool {
        let link = self.connection.link.borrow();
        self.phase.get() == Phase::Draining && link.outstanding() == 0 && !link.has_output()
    }
}
