//! The channel and the failure detector: the evidence that it reports, and its behaviour while its node is down. It
//! then refuses calls; every channel but the first waits with its next attempt to connect until the node is up.

use std::rc::Rc;

use crate::cluster::dialling::channel::failure::Failure;
use crate::cluster::dialling::channel::state::{Channel, Phase, Purpose};
use crate::cluster::membership::detector::Evidence;
use crate::core::ShardCore;
use crate::core::request::ReplyTo;
use crate::error::Text;

impl Channel {
    /// Reports evidence about its node, unless the channel is retired.
    pub(super) fn report(&self, shard: &Rc<ShardCore>, evidence: Evidence) {
        if !self.is_retired() {
            shard.cluster().report(shard, self, evidence);
        }
    }

    /// Keeps the channel connected even if there is nothing to send.
    pub(in crate::cluster) fn probe(&self) {
        {
            let mut state = self.state.borrow_mut();
            if state.purpose == Purpose::OnDemand {
                state.purpose = Purpose::Probe;
            }
        }
        self.connect_requested.wake();
    }

    /// Marks the node as down: calls that wait for a connection fail, and so do new ones, until the node may be up.
    pub(in crate::cluster) fn mark_down(&self, shard: &Rc<ShardCore>, cause: &Text) {
        self.state.borrow_mut().down_cause = Some(Text::clone(cause));
        self.connection.link.borrow_mut().withdraw(|_| true);
        // The reader gets a fault that occurs here too.
        let _ = self.handle_events(shard, Failure::Down(cause));
        self.fail_backlog(shard, &Failure::Down(cause));
        self.shut_down_if_done();
    }

    /// Marks the node as possibly up: calls are accepted again.
    pub(in crate::cluster) fn mark_up(&self) {
        let was_down = self.state.borrow_mut().down_cause.take().is_some();
        if was_down {
            self.retry_now.wake();
        }
    }

    /// Whether it must wait until the node's first channel has reached the node.
    pub(super) fn is_waiting_for_node(&self) -> bool {
        self.number != 1 && self.is_down()
    }

    /// Refuses a call if the node is down; returns whether it did.
    #[cold]
    pub(super) fn refuse_if_down(&self, shard: &Rc<ShardCore>, reply_to: ReplyTo) -> bool {
        if reply_to.session() == 0 {
            // A send waits, within the limit of the out-buffer.
            return false;
        }
        let cause = self.state.borrow().down_cause.clone();
        if let Some(cause) = &cause {
            shard.cluster().refuse_down(shard, &self.node, cause, reply_to);
        }
        cause.is_some()
    }

    /// Handles a goodbye: new requests wait for another connection, and this one ends when the answers in flight have
    /// arrived.
    pub(super) fn handle_goodbye(&self, shard: &Rc<ShardCore>) {
        self.phase.set(Phase::Draining);
        self.report(shard, Evidence::Goodbye);
        self.shut_down_if_done();
    }

    /// Whether a draining connection has received every answer.
    pub(super) fn is_drained(&self) -> bool {
        let link = self.connection.link.borrow();
        self.phase.get() == Phase::Draining
            && link.outstanding() == 0
            && !link.has_output()
            && !self.connection.has_sealed()
    }
}
