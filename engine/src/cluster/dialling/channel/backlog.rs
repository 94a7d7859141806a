//! The backlog of a channel: calls whose callers chose to wait for space in the out-buffer, in order of arrival.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use skyring_codec::Millis;

use crate::core::request::RemoteRequest;

/// The backlog of one channel.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) calls: RefCell<VecDeque<RemoteRequest>>,
    /// A task drains the backlog when bytes were written.
    pub(super) has_task: Cell<bool>,
}

impl Backlog {
    /// Whether there are calls in the backlog.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        // The task runs for as long as there are calls.
        self.has_task.get()
    }

    /// The earliest deadline of the waiting calls.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.calls.borrow().iter().filter_map(|call| call.deadline).min()
    }

    /// Removes and returns the calls whose deadline has passed.
    pub(super) fn take_expired(&self, now: Millis) -> Vec<RemoteRequest> {
        self.take_where(|call| call.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Removes and returns the calls that satisfy `condition`.
    pub(super) fn take_where(&self, condition: impl Fn(&RemoteRequest) -> bool) -> Vec<RemoteRequest> {
        let mut calls = self.calls.borrow_mut();
        if !calls.iter().any(&condition) {
            return Vec::new();
        }
        let (taken, left): (VecDeque<_>, VecDeque<_>) = calls.drain(..).partition(condition);
        *calls = left;
        Vec::from(taken)
    }

    /// Removes and returns all calls.
    pub(super) fn take_all(&self) -> VecDeque<RemoteRequest> {
        self.calls.take()
    }
}
