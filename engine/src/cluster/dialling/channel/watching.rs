//! The channel and the failure detector: the evidence that it reports, and its behaviour while its node is down. It
//! then refuses calls; every channel but the first waits with its next attempt to connect until the node is up.

use std::rc::Rc;

use crate::cluster::dialling::channel::failure::Failure;
use crate::cluster::dialling::channel::state::{Channel, Phase, Purpose};
use crate::cluster::dialling::channel::token;
use crate::cluster::membership::detector::Evidence;
use crate::core::ShardCore;
use crate::core::request::Outgoing;
use crate::error::{Text, is_refusal};

impl Channel {
    /// Reports evidence about its node, unless the channel is retired.
    pub(super) fn report(&self, shard: &Rc<ShardCore>, evidence: Evidence) {
        if !self.is_retired() {
            shard.cluster().report(shard, self, evidence);
        }
    }

    /// Shares the sign of life of the process that has answered. Of all connections between two idle nodes one is pinged: the
    /// first channel from the node with the lower epoch.
    pub(super) fn share_sign_of_life(&self, shard: &ShardCore, epoch: Option<u64>) {
        let sign = epoch.map(|epoch| shard.cluster().shared.signs_of_life.of(epoch));
        let interval_ms = shard.node.settings.down_after_ms / 4;
        let turn_ms = match epoch {
            Some(epoch) if self.number != 1 || shard.node.epoch > epoch => interval_ms / 2,
            _ => 0,
        };
        self.connection.link.borrow_mut().set_turn(turn_ms);
        self.sign_of_life.replace(sign);
        self.note_sign_of_life(shard);
    }

    /// Bytes were received.
    pub(super) fn note_sign_of_life(&self, shard: &ShardCore) {
        if let Some(sign) = &*self.sign_of_life.borrow() {
            sign.note(shard.now());
        }
    }

    /// Tells the link when the process was heard on another connection.
    pub(super) fn hear_elsewhere(&self) {
        if let Some(sign) = &*self.sign_of_life.borrow() {
            self.connection.link.borrow_mut().hear_elsewhere(sign.heard());
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

    /// Marks the node as down: calls that wait for a connection fail, and so do new ones, until the node may be up. Those
    /// that wait for the node stay.
    pub(in crate::cluster) fn mark_down(&self, shard: &Rc<ShardCore>, cause: &Text) {
        self.state.borrow_mut().down_cause = Some(Text::clone(cause));
        self.withdraw_from_down_node(cause);
        // The reader gets a fault that occurs here too.
        let _ = self.handle_events(shard, Failure::Down(cause));
        let cluster = shard.cluster();
        self.fail_backlog_where(shard, &Failure::Down(cause), |call| {
            !cluster.waits_for_node(shard, call, cause)
        });
        self.shut_down_if_done();
    }

    /// Withdraws the calls that fail while the node is down for this cause.
    pub(super) fn withdraw_from_down_node(&self, cause: &Text) {
        let all_fail = is_refusal(cause);
        let mut link = self.connection.link.borrow_mut();
        link.withdraw(|token| all_fail || !token::waits(token));
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

    /// Refuses a call if the node is down and the call does not wait for it; returns whether it did.
    #[cold]
    pub(super) fn refuse_if_down(&self, shard: &Rc<ShardCore>, outgoing: &Outgoing<'_>) -> bool {
        let reply_to = outgoing.reply_to;
        if reply_to.session() == 0 {
            // A send waits, within the limit of the out-buffer.
            return false;
        }
        let cause = self.state.borrow().down_cause.clone();
        let Some(cause) = cause else { return false };
        let when_down = outgoing.when_down.unwrap_or(self.when_down.get());
        if when_down.waits() && !is_refusal(&cause) {
            return false;
        }
        let is_denied = cause.starts_with("denied: ");
        self.figures
            .count_code(if is_denied { "denied" } else { "unreachable" });
        shard.cluster().refuse_down(shard, &self.node, &cause, reply_to);
        true
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
