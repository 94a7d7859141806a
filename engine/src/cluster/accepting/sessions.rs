//! The sessions of inbound channels on one shard: which [`Inbound`] holds each, and which are detached.
//!
//! Invariants: a session's secret maps to the [`Inbound`] that holds it, for as long as that exists; detached
//! sessions are bounded in number, and each in time and bytes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use skyring_codec::native::NONCE_BYTES;

use crate::cluster::accepting::inbound::Inbound;
use crate::core::slab::Key;

/// Most detached sessions of one shard; past it the one that is detached for longest ends.
pub const SESSIONS_DETACHED_MAX: usize = 1_024;

/// The session that a hello names.
pub(in crate::cluster) enum SessionLookup {
    /// There is none that can resume: a new session begins.
    NotFound,
    /// It can resume on the new connection.
    Resumable(Rc<Inbound>),
    /// It has resumed on a later connection: the new one arrived too late, and ends.
    Superseded,
}

/// The place of a detached session in the order in which they end when there are too many: first those whose peer has
/// not proved anything, which may be of replayed hellos, then the one that is detached for longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cluster) struct DetachedPlace {
    is_proved: bool,
    number: u64,
}

/// The table of sessions of one shard.
#[derive(Default)]
pub(in crate::cluster) struct Sessions {
    /// Peers choose the keys of the look-ups, so the hash is keyed with a secret.
    by_secret: RefCell<HashMap<[u8; NONCE_BYTES], Key>>,
    detached: RefCell<BTreeMap<DetachedPlace, Key>>,
    next_number: Cell<u64>,
}

impl Sessions {
    /// Registers the holder of a session.
    pub(super) fn insert(&self, secret: [u8; NONCE_BYTES], holder: Key) {
        self.by_secret.borrow_mut().insert(secret, holder);
    }

    /// Unregisters a session.
    pub(super) fn remove(&self, secret: &[u8; NONCE_BYTES]) {
        self.by_secret.borrow_mut().remove(secret);
    }

    /// The holder of a session.
    pub(super) fn holder(&self, secret: &[u8; NONCE_BYTES]) -> Option<Key> {
        self.by_secret.borrow().get(secret).copied()
    }

    /// The number of detached sessions.
    pub(super) fn detached(&self) -> usize {
        self.detached.borrow().len()
    }

    /// Adds a detached session.
    pub(super) fn add_detached(&self, holder: Key, is_proved: bool) -> DetachedPlace {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let place = DetachedPlace { is_proved, number };
        self.detached.borrow_mut().insert(place, holder);
        place
    }

    /// The detached session that must end now, because there are too many.
    pub(super) fn surplus_detached(&self) -> Option<Key> {
        let detached = self.detached.borrow();
        let is_surplus = detached.len() > SESSIONS_DETACHED_MAX;
        is_surplus.then(|| detached.values().next().copied()).flatten()
    }

    /// Removes a session that has resumed or ended.
    pub(super) fn remove_detached(&self, place: DetachedPlace) {
        self.detached.borrow_mut().remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_limit_the_unproved_end_before_the_proved_and_the_oldest_first() {
        let sessions = Sessions::default();
        let mut places = Vec::new();
        for key in 0..SESSIONS_DETACHED_MAX as u64 {
            places.push(sessions.add_detached(Key::from_u64(key), key % 2 == 0));
            assert!(sessions.surplus_detached().is_none());
        }
        // A session that has resumed is no longer there.
        sessions.remove_detached(places[1]);
        for key in 5_000..5_002 {
            sessions.add_detached(Key::from_u64(key), true);
        }
        let mut ended = Vec::new();
        for key in 6_000..6_600 {
            let surplus = sessions.surplus_detached().expect("there is one too many");
            ended.push(surplus.to_u64());
            let all = sessions.detached.borrow().clone();
            let (place, _) = all.iter().find(|(_, key)| **key == surplus).expect("it is there");
            sessions.remove_detached(*place);
            assert!(sessions.surplus_detached().is_none());
            sessions.add_detached(Key::from_u64(key), true);
        }
        let unproved = (3..SESSIONS_DETACHED_MAX as u64).step_by(2);
        let expected: Vec<u64> = unproved.chain((0..).step_by(2)).take(600).collect();
        assert_eq!(ended, expected);
        assert_eq!(sessions.detached(), SESSIONS_DETACHED_MAX + 1);
    }
}
