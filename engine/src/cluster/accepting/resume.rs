//! The sessions of inbound channels: their resumption on a new connection, and their end without one.

use std::rc::Rc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use crate::cluster::accepting::inbound::Inbound;
use crate::cluster::accepting::sessions::{DetachedPlace, SessionLookup};
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

    /// Adds a detached session.
    pub(in crate::cluster) fn add_detached(&self, holder: Key, is_proved: bool) -> DetachedPlace {
        self.sessions.add_detached(holder, is_proved)
    }

    /// Removes a detached session that has resumed or ended.
    pub(in crate::cluster) fn remove_detached(&self, place: DetachedPlace) {
        self.sessions.remove_detached(place);
    }

    /// Ends a detached session if there are too many.
    pub(in crate::cluster) fn end_surplus_detached(&self, shard: &ShardCore) {
        let surplus = self
            .sessions
            .surplus_detached()
            .and_then(|key| self.inbound_with(key));
        if let Some(surplus) = surplus {
            surplus.end_session(shard);
        }
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
