//! The sessions of inbound channels: their resumption on a new connection, and their end without one.

use std::rc::Rc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::sessions::{SESSIONS_DETACHED_MAX, SessionLookup};
use crate::cluster::room::ClusterShard;
use crate::config::NodeEntry;
use crate::core::ShardCore;
use crate::core::slab::Key;

impl ClusterShard {
    /// Registers the connection that holds a session.
    pub(in crate::cluster) fn register_session(&self, secret: [u8; NONCE_BYTES], holder: Key) {
        self.sessions.insert(secret, holder);
    }

    /// Unregisters a session that has ended.
    pub(in crate::cluster) fn unregister_session(&self, secret: &[u8; NONCE_BYTES]) {
        self.sessions.remove(secret);
    }

    /// Looks up the session that a hello names. A session that cannot resume on the connection of `incoming`, because
    /// it has dropped messages that the peer needs, ends. A session that has resumed on a later connection stays:
    /// connections may overtake each other on their way to the shard.
    pub(in crate::cluster) fn find_session(
        &self,
        shard: &Rc<ShardCore>,
        hello: &Hello,
        incoming: &CalleeLink,
    ) -> SessionLookup {
        let Resumption::Session { session, .. } = hello.resume else {
            return SessionLookup::NotFound;
        };
        let key = self.sessions.holder(&session);
        let Some(holder) = key.and_then(|key| self.inbound.borrow().get(key).cloned()) else {
            return SessionLookup::NotFound;
        };
        if holder.can_resume(incoming) {
            return SessionLookup::Resumable(holder);
        }
        if holder.is_outdated(incoming) {
            return SessionLookup::Superseded;
        }
        holder.end_session(shard);
        SessionLookup::NotFound
    }

    /// Counts one more detached session; past the limit, ends the oldest.
    pub(in crate::cluster) fn count_detached(&self, shard: &ShardCore) {
        if self.sessions.count_detached() > SESSIONS_DETACHED_MAX {
            let oldest = {
                let inbound = self.inbound.borrow();
                let detached = inbound
                    .iter()
                    .filter(|inbound| inbound.detached_since().is_some());
                // First those whose peer has not proved anything: they may be of replayed hellos.
                detached
                    .min_by_key(|inbound| (inbound.is_session_proved(), inbound.detached_since()))
                    .cloned()
            };
            if let Some(oldest) = oldest {
                oldest.end_session(shard);
            }
        }
    }

    /// Uncounts a detached session that has resumed or ended.
    pub(in crate::cluster) fn uncount_detached(&self) {
        self.sessions.uncount_detached();
    }

    /// Ends the detached sessions for which `condition` holds.
    fn end_detached(&self, shard: &ShardCore, condition: impl Fn(&Inbound) -> bool) {
        for inbound in self.all_inbound() {
            if inbound.detached_since().is_some() && condition(&inbound) {
                inbound.end_session(shard);
            }
        }
    }

    /// Ends the detached sessions of nodes that the map disables.
    pub(in crate::cluster) fn end_sessions_of_disabled(&self, shard: &ShardCore) {
        if self.sessions.detached() > 0 {
            let map = self.shared.map.get();
            let is_disabled = |inbound: &Inbound| {
                matches!(map.nodes.get(inbound.node().as_str()), Some(NodeEntry::Disabled))
            };
            self.end_detached(shard, is_disabled);
        }
    }

    /// Ends all detached sessions: the shard stops.
    pub(in crate::cluster) fn end_all_detached(&self, shard: &ShardCore) {
        self.end_detached(shard, |_| true);
    }
}
