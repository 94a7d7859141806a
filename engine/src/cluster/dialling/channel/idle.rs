//! The close of a channel that is not used, and its next connection.
//!
//! Invariant: a channel is closed only while nothing on it waits for an answer, an acknowledgement or the socket; what comes
//! meanwhile waits for its next connection. So no message is lost, refused or sent twice.

use std::rc::Rc;

use skyring_codec::Millis;

use crate::cluster::dialling::channel::state::{Channel, Phase, Purpose};
use crate::cluster::membership::detector::Evidence;
use crate::core::ShardCore;

/// How soon a close is tried again that something prevented, in milliseconds.
const RETRY_MS: Millis = 100;

/// The use of a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// The messages that its link had accepted.
    messages: u64,
    /// When that was first seen.
    since: Millis,
}

impl Channel {
    /// When to look next whether the channel is unused; `None`: it is not closed.
    pub(super) fn idle_deadline(&self, shard: &ShardCore) -> Option<Millis> {
        let idle_close_ms = shard.node.settings.idle_close_ms;
        let may_close = idle_close_ms > 0 && self.is_open() && self.purpose() == Purpose::OnDemand;
        may_close.then(|| self.last_use.get().since + idle_close_ms)
    }

    /// The channel has a connection: its time begins anew.
    pub(super) fn begin_idle_time(&self, shard: &ShardCore) {
        self.last_use.set(Use {
            messages: self.connection.link.borrow().messages_accepted(),
            since: shard.now(),
        });
    }

    /// Closes the connection if it has not been used for the configured time.
    pub(super) fn close_if_unused(&self, shard: &Rc<ShardCore>) {
        let Some(due) = self.idle_deadline(shard) else {
            return;
        };
        let (messages, outstanding) = {
            let link = self.connection.link.borrow();
            (link.messages_accepted(), link.outstanding())
        };
        let now = shard.now();
        if messages != self.last_use.get().messages || outstanding > 0 {
            return self.begin_idle_time(shard);
        }
        if now < due {
            return;
        }
        if !self.connection.link.borrow().waits_for_nothing() {
            // A ping that is written in a moment, or a message without an acknowledgement.
            let since = (now + RETRY_MS).saturating_sub(shard.node.settings.idle_close_ms);
            return self.last_use.set(Use { messages, since });
        }
        self.phase.set(Phase::Draining);
        self.report(shard, Evidence::Closed);
        self.shutdown_gracefully();
    }
}
