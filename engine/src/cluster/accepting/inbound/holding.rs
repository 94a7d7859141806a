//! The memory of a connection: its count, and its release.

use std::rc::Rc;

use skyring_codec::link::CalleeLink;

use crate::cluster::accepting::budget::HELD_BYTES_MAX;
use crate::cluster::accepting::inbound::state::Inbound;
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;

impl Inbound {
    /// Updates its share of the shard's sum, and enforces the budget when the sum is above its limit.
    pub(super) fn count_held(&self, shard: &Rc<ShardCore>) {
        if self.recount() {
            shard.cluster().enforce_budget(shard);
        }
    }

    pub(super) fn recount(&self) -> bool {
        let held = self.connection.link.borrow().held_bytes();
        self.budget.count_held(self.held.replace(held), held)
    }

    /// Frees unused memory, and updates the count.
    pub(in crate::cluster) fn release_memory(&self) {
        self.connection.link.borrow_mut().release_memory();
        self.recount();
    }

    /// Ends the connection because it holds the most while the sum is above its limit.
    pub(in crate::cluster) fn end_largest(&self, shard: &Rc<ShardCore>) {
        shard.node.metrics.connections_greedy.add(1);
        shard.cluster().incidents.log(shard, Incident::Greedy, || {
            format!(
                "{} held {} bytes of unfinished messages and answers, the most, when all together held more than \
                 {HELD_BYTES_MAX}",
                self.address(),
                self.held.get()
            )
        });
        self.end_session(shard);
    }

    /// Ends the connection; its session, if it has one, may resume on another.
    pub(super) fn disconnect(&self, shard: &ShardCore) {
        if self.connection.link.borrow().session_secret().is_some() {
            self.connection.shutdown();
        } else {
            self.discard(shard);
        }
    }

    /// Ends the connection and its session, and frees their memory at once: its task may take a while to notice.
    pub(super) fn discard(&self, shard: &ShardCore) {
        self.connection.shutdown();
        *self.connection.link.borrow_mut() = CalleeLink::ended();
        let secret = self.peer.borrow_mut().secret.take();
        if let Some(secret) = secret {
            shard.cluster().unregister_session(&secret);
        }
        self.recount();
    }
}
