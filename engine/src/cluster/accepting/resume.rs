//! Sessions of accepted channels that go on with another connection, or end without one.

use std::rc::Rc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::sessions::{Holder, SESSIONS_DETACHED_MAX};
use crate::cluster::room::ClusterShard;
use crate::config::NodeEntry;
use crate::core::ShardCore;
use crate::core::slab::Key;

impl ClusterShard {
    /// Notes who has a session.
    pub(in crate::cluster) fn keep_session(&self, secret: [u8; NONCE_BYTES], holder: Key) {
        self.sessions.insert(secret, holder);
    }

    /// The session is over.
    pub(in crate::cluster) fn forget_session(&self, secret: &[u8; NONCE_BYTES]) {
        self.sessions.remove(secret);
    }

    /// Who has the session that a hello names, if it can go on with the connection of `greeted`. One that cannot,
    /// since it has let go of what would be needed, is over. One that has gone on with a later connection already
    /// stays as it is: connections may overtake each other on their way to the shard.
    pub(in crate::cluster) fn session_holder(
        &self,
        shard: &Rc<ShardCore>,
        hello: &Hello,
        greeted: &CalleeLink,
    ) -> Holder {
        let Resumption::Session { session, .. } = hello.resume else {
            return Holder::Nobody;
        };
        let key = self.sessions.holder(&session);
        let Some(holder) = key.and_then(|key| self.inbound.borrow().get(key).cloned()) else {
            return Holder::Nobody;
        };
        if holder.can_resume(greeted) {
            return Holder::Resumes(holder);
        }
        if holder.is_outdated(greeted) {
            return Holder::HasMovedOn;
        }
        holder.end_session(shard);
        Holder::Nobody
    }

    /// One more session has no connection.
    pub(in crate::cluster) fn count_detached(&self, shard: &ShardCore) {
        if self.sessions.count_detached() > SESSIONS_DETACHED_MAX {
            let oldest = {
                let inbound = self.inbound.borrow();
                let detached = inbound
                    .iter()
                    .filter(|inbound| inbound.detached_since().is_some());
                detached.min_by_key(|inbound| inbound.detached_since()).cloned()
            };
            if let Some(oldest) = oldest {
                oldest.end_session(shard);
            }
        }
    }

    /// One of them has a connection again, or is over.
    pub(in crate::cluster) fn uncount_detached(&self) {
        self.sessions.uncount_detached();
    }

    /// Ends the sessions without a connection that `condition` holds for.
    fn end_detached(&self, shard: &ShardCore, condition: impl Fn(&Inbound) -> bool) {
        for inbound in self.all_inbound() {
            if inbound.detached_since().is_some() && condition(&inbound) {
                inbound.end_session(shard);
            }
        }
    }

    /// The map has changed: nodes that it turns off have no sessions.
    pub(in crate::cluster) fn end_sessions_of_disabled(&self, shard: &ShardCore) {
        if self.sessions.detached() > 0 {
            let map = self.shared.map.get();
            let is_disabled = |inbound: &Inbound| {
                matches!(map.nodes.get(inbound.node().as_str()), Some(NodeEntry::Disabled))
            };
            self.end_detached(shard, is_disabled);
        }
    }

    /// Ends all that have no connection: the shard stops.
    pub(in crate::cluster) fn end_all_detached(&self, shard: &ShardCore) {
        self.end_detached(shard, |_| true);
    }
}
