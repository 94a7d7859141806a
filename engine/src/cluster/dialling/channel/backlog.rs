//! Calls whose callers chose to wait until the link has room for them, in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use skyring_codec::Millis;

use crate::core::request::RemoteRequest;

/// The calls of one channel that wait for room.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) calls: RefCell<VecDeque<RemoteRequest>>,
    /// A task lets them go on when bytes were written.
    pub(super) is_watched: Cell<bool>,
}

impl Backlog {
    /// Whether calls wait.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        // The task that watches runs as long as any do.
        self.is_watched.get()
    }

    /// The earliest deadline of those that wait.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.calls.borrow().iter().filter_map(|call| call.deadline).min()
    }

    /// Takes those out whose deadline has come.
    pub(super) fn take_expired(&self, now: Millis) -> Vec<RemoteRequest> {
        let is_late = |call: &mut RemoteRequest| call.deadline.is_some_and(|deadline| deadline <= now);
        let mut calls = self.calls.borrow_mut();
        if !calls.iter_mut().any(is_late) {
            return Vec::new();
        }
        let (late, left) = calls
            .drain(..)
            .partition(|call| call.deadline.is_some_and(|deadline| deadline <= now));
        *calls = left;
        Vec::from(late)
    }

    /// Takes all out.
    pub(super) fn take_all(&self) -> VecDeque<RemoteRequest> {
        self.calls.take()
    }
}
