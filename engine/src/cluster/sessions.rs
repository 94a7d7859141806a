//! The sessions of accepted channels, as one shard has them: which [`Inbound`] has which, and how many have no
//! connection.
//!
//! Invariants: a session's secret leads to the [`Inbound`] that has it, as long as that is there; sessions without
//! a connection are bounded in number, and each in time and bytes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use skyring_codec::link::CalleeLink;
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption};

use super::ClusterShard;
use crate::cluster::inbound::Inbound;
use crate::config::NodeEntry;
use crate::shard::Shard;
use crate::shard::slab::Key;

/// Most sessions of one shard that have no connection; past it the one that has been without for longest ends.
pub const SESSIONS_DETACHED_MAX: usize = 1_024;

/// Who has the session that a hello names.
pub(super) enum Holder {
    /// Nobody: another session begins.
    Nobody,
    /// One that goes on with the connection.
    GoesOn(Rc<Inbound>),
    /// One that has gone on with a later connection: this one came too late, and ends.
    IsFurther,
}

/// What a shard knows of its sessions.
#[derive(Default)]
pub(super) struct Sessions {
    /// Looked up with what peers send, so hashed with a key that they do not know.
    by_secret: RefCell<HashMap<[u8; NONCE_BYTES], Key>>,
    detached: Cell<usize>,
}

impl ClusterShard {
    /// Notes who has a session.
    pub(super) fn keep_session(&self, secret: [u8; NONCE_BYTES], holder: Key) {
        self.sessions.by_secret.borrow_mut().insert(secret, holder);
    }

    /// The session is over.
    pub(super) fn forget_session(&self, secret: &[u8; NONCE_BYTES]) {
        self.sessions.by_secret.borrow_mut().remove(secret);
    }

    /// Who has the session that a hello names, if it can go on with the connection of `greeted`. One that cannot,
    /// since it has let go of what would be needed, is over. One that has gone on with a later connection already
    /// stays as it is: connections may overtake each other on their way to the shard.
    pub(super) fn session_holder(&self, shard: &Rc<Shard>, hello: &Hello, greeted: &CalleeLink) -> Holder {
        let Resumption::Session { session, .. } = hello.resume else {
            return Holder::Nobody;
        };
        let key = self.sessions.by_secret.borrow().get(&session).copied();
        let Some(holder) = key.and_then(|key| self.inbound.borrow().get(key).cloned()) else {
            return Holder::Nobody;
        };
        if holder.can_resume(greeted) {
            return Holder::GoesOn(holder);
        }
        if holder.is_outdated(greeted) {
            return Holder::IsFurther;
        }
        holder.end_session(shard);
        Holder::Nobody
    }

    /// One more session has no connection.
    pub(super) fn count_detached(&self, shard: &Shard) {
        self.sessions.detached.set(self.sessions.detached.get() + 1);
        if self.sessions.detached.get() > SESSIONS_DETACHED_MAX {
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
    pub(super) fn uncount_detached(&self) {
        self.sessions
            .detached
            .set(self.sessions.detached.get().saturating_sub(1));
    }

    /// Ends the sessions without a connection that `condition` holds for.
    fn end_detached(&self, shard: &Shard, condition: impl Fn(&Inbound) -> bool) {
        let inbound: Vec<Rc<Inbound>> = self.inbound.borrow().iter().cloned().collect();
        for inbound in inbound {
            if inbound.detached_since().is_some() && condition(&inbound) {
                inbound.end_session(shard);
            }
        }
    }

    /// The map has changed: nodes that it turns off have no sessions.
    pub(super) fn end_sessions_of_disabled(&self, shard: &Shard) {
        if self.sessions.detached.get() > 0 {
            let map = shard.node.map.get();
            let is_disabled = |inbound: &Inbound| {
                matches!(map.nodes.get(inbound.node().as_str()), Some(NodeEntry::Disabled))
            };
            self.end_detached(shard, is_disabled);
        }
    }

    /// Ends all that have no connection: the shard stops.
    pub(super) fn end_all_detached(&self, shard: &Shard) {
        self.end_detached(shard, |_| true);
    }
}
