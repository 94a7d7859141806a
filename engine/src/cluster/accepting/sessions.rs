//! The sessions of inbound channels on one shard: which [`Inbound`] holds each, and how many are detached.
//!
//! Invariants: a session's secret maps to the [`Inbound`] that holds it, for as long as that exists; detached
//! sessions are bounded in number, and each in time and bytes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
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

/// The table of sessions of one shard.
#[derive(Default)]
pub(in crate::cluster) struct Sessions {
    /// Peers choose the keys of the look-ups, so the hash is keyed with a secret.
    by_secret: RefCell<HashMap<[u8; NONCE_BYTES], Key>>,
    detached: Cell<usize>,
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
        self.detached.get()
    }

    /// Counts one more detached session; returns the new number.
    pub(super) fn count_detached(&self) -> usize {
        self.detached.set(self.detached.get() + 1);
        self.detached.get()
    }

    /// Uncounts a detached session.
    pub(super) fn uncount_detached(&self) {
        self.detached.set(self.detached.get().saturating_sub(1));
    }
}
