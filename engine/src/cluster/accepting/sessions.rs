//! The sessions of accepted channels, as one shard has them: which [`Inbound`] has which, and how many have no
//! connection.
//!
//! Invariants: a session's secret leads to the [`Inbound`] that has it, as long as that is there; sessions without
//! a connection are bounded in number, and each in time and bytes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use skyring_codec::native::NONCE_BYTES;

use crate::cluster::accepting::inbound::Inbound;
use crate::core::slab::Key;

/// Most sessions of one shard that have no connection; past it the one that has been without for longest ends.
pub const SESSIONS_DETACHED_MAX: usize = 1_024;

/// Who has the session that a hello names.
pub(in crate::cluster) enum Holder {
    /// Nobody: another session begins.
    Nobody,
    /// One that goes on with the connection.
    Resumes(Rc<Inbound>),
    /// One that has gone on with a later connection: this one came too late, and ends.
    HasMovedOn,
}

/// What a shard knows of its sessions.
#[derive(Default)]
pub(in crate::cluster) struct Sessions {
    /// Looked up with what peers send, so hashed with a key that they do not know.
    by_secret: RefCell<HashMap<[u8; NONCE_BYTES], Key>>,
    detached: Cell<usize>,
}

impl Sessions {
    /// Notes who has a session.
    pub(super) fn insert(&self, secret: [u8; NONCE_BYTES], holder: Key) {
        self.by_secret.borrow_mut().insert(secret, holder);
    }

    /// The session is over.
    pub(super) fn remove(&self, secret: &[u8; NONCE_BYTES]) {
        self.by_secret.borrow_mut().remove(secret);
    }

    /// Who has a session.
    pub(super) fn holder(&self, secret: &[u8; NONCE_BYTES]) -> Option<Key> {
        self.by_secret.borrow().get(secret).copied()
    }

    /// How many have no connection.
    pub(super) fn detached(&self) -> usize {
        self.detached.get()
    }

    /// One more has no connection; how many that makes.
    pub(super) fn count_detached(&self) -> usize {
        self.detached.set(self.detached.get() + 1);
        self.detached.get()
    }

    /// One of them has a connection again, or is over.
    pub(super) fn uncount_detached(&self) {
        self.detached.set(self.detached.get().saturating_sub(1));
    }
}
