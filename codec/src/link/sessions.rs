//! The outstanding calls by session number.
//!
//! Session numbers are assigned in sequence, so the table is a ring whose size is a power of two, with a session in
//! slot `session & mask`: no hashing, no probing. A number whose slot is taken is skipped; that ends soon, because
//! at least half of the slots are free. The ring doubles before fewer would be free.
//!
//! Invariants: `outstanding` is the number of taken slots and at most half of the ring; a session is found only by
//! its whole number.

use super::deadlines::GroupKey;
use crate::skynet::SESSION_MAX;

/// The smallest ring.
const SLOTS_MIN: usize = 256;

/// A ring larger than this is freed when no call is outstanding (half a MiB of slots).
const SLOTS_KEPT_MAX: usize = 16 * 1024;

/// An outstanding call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// The token of its caller.
    pub(super) token: u64,
    /// The number of its message on this link.
    pub(super) number: u64,
    /// The group of its deadline, if it has one.
    pub(super) deadline: GroupKey,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// 0 while the slot is free.
    session: u32,
    call: Call,
}

const FREE: Slot = Slot {
    session: 0,
    call: Call {
        token: 0,
        number: 0,
        deadline: GroupKey::NONE,
    },
};

/// The outstanding calls of a link. See the module documentation.
#[derive(Debug)]
pub(super) struct Sessions {
    slots: Vec<Slot>,
    outstanding: usize,
    /// The next number, unless its slot is taken.
    next: u32,
}

impl Sessions {
    /// An empty table whose first session is `first`.
    pub(super) fn starting_at(first: u32) -> Self {
        Self {
            slots: vec![FREE; SLOTS_MIN],
            outstanding: 0,
            next: first.clamp(1, SESSION_MAX),
        }
    }

    /// How many calls are outstanding.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// A number that no outstanding call has, for the next call or for a push in parts.
    #[inline]
    pub(super) fn next_number(&mut self) -> u32 {
        if (self.outstanding + 1) * 2 > self.slots.len() {
            self.resize(self.slots.len() * 2);
        }
        while self.slots[self.slot_index(self.next)].session != 0 {
            self.next = after(self.next);
        }
        let session = self.next;
        self.next = after(session);
        session
    }

    /// Inserts a call under the number that [`Sessions::next_number`] has just returned.
    #[inline]
    pub(super) fn insert(&mut self, session: u32, call: Call) {
        let slot_index = self.slot_index(session);
        debug_assert_eq!(
            self.slots[slot_index].session, 0,
            "the slot of session {session} is taken"
        );
        self.slots[slot_index] = Slot { session, call };
        self.outstanding += 1;
    }

    /// The outstanding call of `session`.
    #[inline]
    pub(super) fn get(&self, session: u32) -> Option<&Call> {
        let slot = &self.slots[self.slot_index(session)];
        (slot.session == session && session != 0).then_some(&slot.call)
    }

    /// Removes the call of `session`.
    #[inline]
    pub(super) fn remove(&mut self, session: u32) -> Option<Call> {
        let slot_index = self.slot_index(session);
        let slot = &mut self.slots[slot_index];
        if slot.session != session || session == 0 {
            return None;
        }
        slot.session = 0;
        if fault!(SessionReused) {
            self.next = session;
        }
        let call = slot.call;
        self.outstanding -= 1;
        if self.outstanding == 0 && self.slots.len() > SLOTS_KEPT_MAX {
            self.slots = vec![FREE; SLOTS_MIN];
        }
        Some(call)
    }

    /// The sessions whose calls satisfy `condition`, in the order in which their calls were accepted.
    pub(super) fn select(&self, condition: impl Fn(&Call) -> bool) -> Vec<u32> {
        let taken = self
            .slots
            .iter()
            .filter(|slot| slot.session != 0 && condition(&slot.call));
        let mut found: Vec<_> = taken.map(|slot| (slot.call.number, slot.session)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, session)| session).collect()
    }

    #[inline]
    fn slot_index(&self, session: u32) -> usize {
        session as usize & (self.slots.len() - 1)
    }

    /// Sessions in different slots of a ring are in different slots of a larger one too.
    fn resize(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![FREE; size]);
        for slot in old.into_iter().filter(|slot| slot.session != 0) {
            let slot_index = self.slot_index(slot.session);
            self.slots[slot_index] = slot;
        }
    }
}

/// The number after `session`: 1 follows [`SESSION_MAX`].
#[inline]
fn after(session: u32) -> u32 {
    if session >= SESSION_MAX { 1 } else { session + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(token: u64) -> Call {
        Call {
            token,
            number: token,
            deadline: GroupKey::NONE,
        }
    }

    fn enter(sessions: &mut Sessions, token: u64) -> u32 {
        let session = sessions.next_number();
        sessions.insert(session, call(token));
        session
    }

    #[test]
    fn after_the_last_session_comes_the_first_again() {
        let mut sessions = Sessions::starting_at(SESSION_MAX - 1);
        let assigned: Vec<_> = (0..4).map(|token| enter(&mut sessions, token)).collect();
        // SESSION_MAX - 1 and its successor are in the last two slots, 1 and 2 in others.
        assert_eq!(assigned, [SESSION_MAX - 1, SESSION_MAX, 1, 2]);
        assert_eq!(sessions.get(SESSION_MAX), Some(&call(1)));
        assert_eq!(sessions.get(0), None);
    }

    #[test]
    fn outstanding_numbers_are_skipped_after_the_wrap() {
        let mut sessions = Sessions::starting_at(1);
        assert_eq!((enter(&mut sessions, 10), enter(&mut sessions, 11)), (1, 2));
        sessions.next = SESSION_MAX;
        assert_eq!(enter(&mut sessions, 12), SESSION_MAX);
        assert_eq!(enter(&mut sessions, 13), 3);
        assert_eq!(sessions.get(1), Some(&call(10)));
    }

    #[test]
    fn a_session_is_found_only_by_its_whole_number() {
        let mut sessions = Sessions::starting_at(5);
        assert_eq!(enter(&mut sessions, 1), 5);
        for other in [5 + SLOTS_MIN as u32, 5 + 1024 * SLOTS_MIN as u32, 5 | 1 << 31] {
            assert_eq!(sessions.get(other), None);
            assert_eq!(sessions.remove(other), None);
        }
        assert_eq!(sessions.remove(5), Some(call(1)));
        assert_eq!(sessions.remove(5), None);
    }

    #[test]
    fn the_ring_grows_with_the_calls_and_shrinks_after_them() {
        let mut sessions = Sessions::starting_at(1);
        let assigned: Vec<_> = (0..100_000).map(|token| enter(&mut sessions, token)).collect();
        for (token, session) in assigned.iter().enumerate() {
            assert_eq!(sessions.get(*session), Some(&call(token as u64)));
        }
        assert!(sessions.slots.len() >= 200_000);
        for session in assigned {
            assert!(sessions.remove(session).is_some());
        }
        assert_eq!((sessions.outstanding(), sessions.slots.len()), (0, SLOTS_MIN));
    }

    #[test]
    fn long_outstanding_calls_do_not_make_the_ring_grow() {
        let mut sessions = Sessions::starting_at(1);
        for token in 0..100 {
            enter(&mut sessions, token);
        }
        for token in 0..100_000 {
            let session = enter(&mut sessions, token);
            assert!(sessions.remove(session).is_some());
        }
        assert_eq!((sessions.outstanding(), sessions.slots.len()), (100, SLOTS_MIN));
    }
}
