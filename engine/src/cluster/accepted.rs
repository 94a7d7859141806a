//! What a shard does with all connections that peers opened: deadlines, sweeps, and room for them.

use std::rc::Rc;

use super::ClusterShard;
use crate::cluster::inbound::Inbound;
use crate::shard::Shard;
use crate::shard::slab::Key;

impl ClusterShard {
    /// Forgets a connection that has ended.
    pub(crate) fn remove_inbound(&self, key: Key) {
        self.inbound.borrow_mut().remove(key);
    }

    /// Ends the connection that holds the most, and so on until all together hold no more than they may.
    pub(crate) fn make_room(&self, shard: &Rc<Shard>) {
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for connection in &inbound {
            connection.release(shard);
        }
        if self.budget.is_over() {
            inbound.iter().for_each(|connection| connection.trim(shard));
        }
        while self.budget.is_over() {
            let Some(largest) = inbound.iter().max_by_key(|connection| connection.held()) else {
                return;
            };
            if largest.held() == 0 {
                return;
            }
            largest.end_greedy(shard);
        }
    }

    /// Looks at every accepted connection for one that is silent or stalled.
    pub(crate) fn sweep(&self, shard: &Rc<Shard>) {
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for connection in inbound {
            connection.sweep(shard);
        }
    }

    /// A deadline of an accepted connection has come.
    pub(crate) fn inbound_deadline(&self, shard: &Rc<Shard>, key: Key) {
        let inbound = self.inbound.borrow().get(key).cloned();
        if let Some(inbound) = inbound {
            inbound.deadline(shard);
        }
    }
}
