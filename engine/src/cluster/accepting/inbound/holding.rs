//! What a connection holds in memory, and how it lets go of it.

use std::rc::Rc;

use crate::cluster::accepting::budget::HELD_BYTES_MAX;
use crate::cluster::accepting::inbound::state::{Inbound, new_link};
use crate::cluster::accepting::incidents::Incident;
use crate::core::ShardCore;

impl Inbound {
    /// Counts what it holds in the shard's sum, and has room made when that is too much.
    pub(super) fn count_held(&self, shard: &Rc<ShardCore>) {
        if self.recount() {
            shard.cluster().make_room(shard);
        }
    }

    pub(super) fn recount(&self) -> bool {
        let held = self.connection.link.borrow().held_bytes();
        self.budget.count_held(self.held.replace(held), held)
    }

    /// Takes back memory that it does not use now, and counts what is left.
    pub(in crate::cluster) fn release(&self) {
        self.connection.link.borrow_mut().release_memory();
        self.recount();
    }

    /// Ends the connection because it holds the most of too much.
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

    /// Ends the connection; its session, if it has one, may go on with another.
    pub(super) fn disconnect(&self, shard: &ShardCore) {
        if self.connection.link.borrow().session_secret().is_some() {
            self.connection.shutdown();
        } else {
            self.discard(shard);
        }
    }

    /// Ends the connection, and its session, and gives back at once what it holds: its task may take a while to
    /// notice.
    pub(super) fn discard(&self, shard: &ShardCore) {
        self.connection.shutdown();
        *self.connection.link.borrow_mut() = new_link();
        let secret = self.peer.borrow_mut().secret.take();
        if let Some(secret) = secret {
            shard.cluster().forget_session(&secret);
        }
        self.recount();
    }
}
